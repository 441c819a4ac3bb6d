"""`upload`, `files` and `download`: send files to the workspace, list and fetch them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from lorapod.client.commands.arrivals import (
    IncomingDownload,
    check_place,
    confirm_overwrite,
    source_of,
    workspace_path,
)
from lorapod.client.commands.known_names import DATASETS, complete_dataset, complete_process
from lorapod.client.commands.screen import Screen, draws, moment, size
from lorapod.client.commands.session import AsJson, CommandSession, ExitCode, Via, ViaOption, open_session
from lorapod.client.partial_download import DownloadProgress
from lorapod.client.upload import UploadedDataset, UploadProgress
from lorapod.records.process_id import is_process_id
from lorapod.wire.dataset import (
    CONVERTED_SUFFIXES,
    IMAGE_SUFFIXES,
    VIDEO_SUFFIXES,
    RejectedFile,
    is_archive_name,
)

_ARRIVING = (
    "A worker checks the files and adds them to the dataset when it trains on it, lists or edits datasets next; "
    "`lorapod datasets --via queue` has it done now."
)

#: New names that are shown one by one.
_RENAMED_SHOWN = 10


def upload(
    context: typer.Context,
    folder: Annotated[
        Path,
        typer.Argument(exists=True, help="Folder with images, captions, videos or zips, or one zip."),
    ],
    training_name: Annotated[
        str,
        typer.Argument(help="Name of the dataset on the worker.", autocompletion=complete_dataset),
    ],
    *,
    trigger_word: Annotated[str | None, typer.Option(help="Word to add to captions that lack it.")] = None,
    fix: Annotated[
        bool,
        typer.Option(
            "--fix",
            help="Convert images that trainers see differently from you: transparency, 16 bits, animation, CMYK, "
            "colour profiles. Only the copies on the worker are changed.",
        ),
    ] = False,
    via: ViaOption = Via.AUTO,
    as_json: AsJson = False,
) -> None:
    """Upload a folder of images and captions, with all folders in it, as a dataset; exit with 1 if images were refused."""
    with open_session(context, as_json=as_json, via=via) as session:
        with transfer_bar(session.screen) as bar:
            task = bar.add_task(str(folder), total=None)

            def show(now: UploadProgress) -> None:
                bar.update(task, total=now.total_bytes, completed=now.sent_bytes)

            dataset = session.client.upload_dataset(
                folder, training_name, trigger_word=trigger_word, fix=fix, on_progress=show
            )
        session.remember(DATASETS, dataset.training_name)
        warn_of_upload(session.screen, dataset)
        if as_json:
            session.screen.answer(dataset.as_json())
        for line in _changes(dataset):
            session.screen.line(line)
        if dataset.arriving:
            session.screen.line(
                f"{dataset.training_name}: {dataset.images} images, "
                f"{f'{dataset.videos} videos, ' if dataset.videos else ''}{dataset.captions} captions, "
                f"{size(dataset.total_bytes)} sent"
            )
            session.screen.note([_ARRIVING])
            return
        session.screen.line(
            f"{dataset.training_name}: {dataset.images} images, "
            f"{f'{dataset.videos} videos, ' if dataset.videos else ''}{dataset.captions} captions, "
            f"{len(dataset.images_without_caption)} images without one, {size(dataset.total_bytes)}"
        )
        if not dataset.images and not dataset.videos:
            session.screen.warn([f"the dataset {dataset.training_name} has no image."])
            raise typer.Exit(ExitCode.FAILED)
        if any(_is_picture(bad.filename) for bad in dataset.rejected):
            raise typer.Exit(ExitCode.FAILED)


def warn_of_upload(screen: Screen, dataset: UploadedDataset) -> None:
    """Print what was refused, what was not sent, and what the person should know of the dataset."""
    screen.warn(map(_refused, dataset.rejected))
    screen.warn(
        f"{name!r} cannot be part of a dataset and was not sent: use images, videos, captions or a zip."
        for name in dataset.skipped
    )
    screen.warn(dataset.warnings)


def _changes(dataset: UploadedDataset) -> Iterator[str]:
    """Yield a line for each file that has another name or other contents on the worker."""
    for name, new in list(dataset.renamed.items())[:_RENAMED_SHOWN]:
        yield f"{name} is {new} in the dataset."
    if (more := len(dataset.renamed) - _RENAMED_SHOWN) > 0:
        yield f"{more} more files have other names in the dataset."
    for fixed in dataset.fixed:
        yield f"{fixed.sent_as or fixed.name}: {fixed.what}"


def _refused(bad: RejectedFile) -> str:
    name, error = bad.filename, bad.error
    what = error if name in error else f"{name}: {error}"
    return f"refused: {what} {bad.hint}" if bad.hint else f"refused: {what}"


def _is_picture(name: str) -> bool:
    """Return whether pictures or clips are lost with a file of that name."""
    suffix = PurePosixPath(name).suffix.lower()
    return suffix in IMAGE_SUFFIXES | CONVERTED_SUFFIXES | VIDEO_SUFFIXES or is_archive_name(name)


def files(
    context: typer.Context,
    path: Annotated[str | None, typer.Argument(help="Folder of the workspace. Default: all of it.")] = None,
    *,
    kind: Annotated[
        str | None,
        typer.Option(help="List only this kind: image, caption, model, log, config, archive or video."),
    ] = None,
    pattern: Annotated[
        str | None, typer.Option(help="List only file names that match, e.g. '*.safetensors'.")
    ] = None,
    recursive: Annotated[bool, typer.Option(help="List the folders below it too.")] = True,
    via: ViaOption = Via.AUTO,
    as_json: AsJson = False,
) -> None:
    """List files of the workspace."""
    with open_session(context, as_json=as_json, via=via) as session:
        path = None if path is None else workspace_path(path)
        files = session.client.list_files(path, kind=kind, pattern=pattern, recursive=recursive)
        found = [one.model_dump(mode="json") for one in files]
        if as_json:
            session.screen.answer({"files": found})
            return
        rows = [
            (one["path"], size(one["size_bytes"]), one["kind"], moment(one["modified_at"])) for one in found
        ]
        session.screen.table(("path", "size", "kind", "modified"), rows, right=(1,), whole=(0, 3))


def download(
    context: typer.Context,
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="Process ids, or paths in the workspace.",
            autocompletion=complete_process,
        ),
    ],
    *,
    to: Annotated[
        str,
        typer.Option(
            metavar="PATH",
            help="File or folder on this machine; a folder if it ends in / or there are several sources. A name without a "
            "suffix gets that of the file.",
        ),
    ] = ".",
    archive: Annotated[
        bool, typer.Option("--zip", help="Fetch all files of these processes as one zip.")
    ] = False,
    url: Annotated[
        bool, typer.Option("--url", help="Print a URL of the object store instead of downloading.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", "-y", help="Replace another file of that name without asking.")
    ] = False,
    via: ViaOption = Via.AUTO,
    as_json: AsJson = False,
) -> None:
    """Download the LoRA of a training, or files. A download that broke off continues where it stopped."""
    sources = [source_of(source) for source in sources]
    check_place(to)
    with open_session(context, as_json=as_json, via=via) as session:
        client, screen = session.client, session.screen
        if url:
            addresses = [client.address(source) for source in sources]
            if as_json:
                screen.answer({"addresses": [address.answer() for address in addresses]})
            for address in addresses:
                screen.line(str(address.url))
            return
        if archive:
            with screen.busy("the worker packs the files"):
                sources = [client.call("bulk_download", **_named(sources), length=1)["archive_path"]]
        elif len(sources) > 1:
            to = f"{to}/"
        fetched = [_fetched(session, source, to, yes=overwrite) for source in sources]
        if as_json:
            screen.answer({"files": [str(path) for path in fetched]})
        for path in fetched:
            screen.line(str(path))


def _fetched(session: CommandSession, source: str, to: str, *, yes: bool) -> Path:
    """Download one file, unless it is here; return where it is."""
    arrival = IncomingDownload.of(session.client, source)
    target = arrival.target(to)
    if target.exists():
        with session.screen.busy(f"{target} is compared"):
            if not target.is_dir() and arrival.is_at(target):
                return target
        confirm_overwrite(session.screen, target, yes=yes)
    with transfer_bar(session.screen) as bar:
        return session.client.download(source, target, on_progress=FileProgress(bar))


def _named(sources: list[str]) -> dict[str, Any]:
    """Tell processes from files."""
    ids = [source for source in sources if is_process_id(source)]
    paths = [source for source in sources if source not in ids]
    return {"process_ids": ids or None, "file_paths": paths or None}


@contextmanager
def transfer_bar(screen: Screen) -> Iterator[Progress]:
    """Return a bar in bytes on stderr; nothing is drawn without a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    hidden = screen.as_json or not draws(screen.aside)
    bar = Progress(*columns, console=screen.aside, transient=True, disable=hidden)
    if hidden:
        yield bar
        return
    with screen.waiting.paused(), bar:
        yield bar


class FileProgress:
    """The progress bar of one file after the other."""

    def __init__(self, bar: Progress) -> None:
        """Add a line to the bar."""
        self._bar = bar
        self._task = bar.add_task("", total=None)

    def __call__(self, now: DownloadProgress) -> None:
        """Show how much has arrived."""
        self._bar.update(
            self._task, description=now.filename, total=now.size_bytes, completed=now.received_bytes
        )
