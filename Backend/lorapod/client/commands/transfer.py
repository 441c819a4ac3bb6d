"""`upload`, `files` and `download`: what goes to the workspace and what comes from it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from lorapod.client.commands.screen import Screen, size
from lorapod.client.commands.session import AsJson, open_session
from lorapod.client.download import DownloadProgress
from lorapod.client.upload import UploadProgress


def upload(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="Pictures, captions, zips.")],
    training_name: Annotated[str, typer.Argument(help="The dataset's name on the worker.")],
    *,
    trigger_word: Annotated[str | None, typer.Option(help="Added to captions that lack it.")] = None,
    as_json: AsJson = False,
) -> None:
    """Send a folder's pictures and captions to the worker as a dataset."""
    with open_session(context, as_json=as_json) as session:
        with _bar(session.screen) as bar:
            task = bar.add_task(str(folder), total=None)

            def show(now: UploadProgress) -> None:
                bar.update(task, total=now.total_bytes, completed=now.sent_bytes)

            dataset = session.client.upload_dataset(
                folder, training_name, trigger_word=trigger_word, on_progress=show
            )
        session.screen.warn(f"{bad['filename']}: {bad['error']}" for bad in dataset.rejected)
        session.screen.warn(f"{name} is no part of a dataset and was not sent." for name in dataset.skipped)
        if as_json:
            session.screen.answer(asdict(dataset))
        session.screen.line(
            f"{dataset.training_name}: {dataset.images} images, {dataset.captions} captions, "
            f"{len(dataset.images_without_caption)} images without one, {size(dataset.total_bytes)}"
        )


def files(
    context: typer.Context,
    path: Annotated[str | None, typer.Argument(help="A folder of the workspace; else all of it.")] = None,
    *,
    kind: Annotated[
        str | None, typer.Option(help="image, caption, model, log, config, archive, video.")
    ] = None,
    pattern: Annotated[str | None, typer.Option(help="Of file names, e.g. '*.safetensors'.")] = None,
    recursive: Annotated[bool, typer.Option(help="Look into folders below it.")] = True,
    as_json: AsJson = False,
) -> None:
    """List files of the workspace."""
    with open_session(context, as_json=as_json) as session:
        found = session.client.list_files(path, kind=kind, pattern=pattern, recursive=recursive)
        if as_json:
            session.screen.answer({"files": found})
            return
        rows = [(one["path"], size(one["size_bytes"]), one["kind"], one["modified_at"]) for one in found]
        session.screen.table(("path", "size", "kind", "modified"), rows, right=(1,))


def download(
    context: typer.Context,
    sources: Annotated[
        list[str], typer.Argument(metavar="SOURCE...", help="Process ids, or paths in the workspace.")
    ],
    *,
    to: Annotated[Path, typer.Option(help="A file or a folder of this machine.")] = Path(),
    archive: Annotated[
        bool, typer.Option("--zip", help="All that these processes made, as one zip.")
    ] = False,
    url: Annotated[
        bool, typer.Option("--url", help="Print addresses instead, from the object store.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Fetch a process's LoRA, or files; a broken download goes on where it stopped."""
    with open_session(context, as_json=as_json) as session:
        client, screen = session.client, session.screen
        if url:
            addresses = [client.address(source) for source in sources]
            if as_json:
                screen.answer({"addresses": addresses})
            for address in addresses:
                screen.line(address["url"])
            return
        with _bar(screen) as bar:
            if archive:
                fetched = [client.bulk_download(**_named(sources), to=to, on_progress=_Showing(bar))]
            else:
                fetched = [client.download(source, to, on_progress=_Showing(bar)) for source in sources]
        if as_json:
            screen.answer({"files": [str(path) for path in fetched]})
        for path in fetched:
            screen.line(str(path))


def _named(sources: list[str]) -> dict[str, Any]:
    """Processes and files told apart: a path has a slash or a suffix."""
    paths = [source for source in sources if "/" in source or "." in source]
    return {"file_paths": paths} if paths else {"process_ids": sources}


@contextmanager
def _bar(screen: Screen) -> Iterator[Progress]:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=screen.aside, transient=True, disable=screen.as_json) as bar:
        yield bar


class _Showing:
    """Draws one file after the other."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task = bar.add_task("", total=None)

    def __call__(self, now: DownloadProgress) -> None:
        self._bar.update(
            self._task, description=now.filename, total=now.size_bytes, completed=now.received_bytes
        )
