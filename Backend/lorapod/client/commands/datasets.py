"""`datasets` and `dataset`: look at what was uploaded."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lorapod.client.commands.screen import size
from lorapod.client.commands.session import AsJson, ExitCode, open_session

DatasetArgument = Annotated[str, typer.Argument(metavar="DATASET", help="Name of the dataset.")]

#: Characters of a caption in a table.
_CAPTION_CHARACTERS = 60

#: The code of the problem that images have which no trainer can read.
_UNREADABLE = "unreadable"


def datasets(context: typer.Context, *, as_json: AsJson = False) -> None:
    """List the datasets of the volume."""
    with open_session(context, as_json=as_json) as session:
        found: list[dict[str, Any]] = []
        cursor: dict[str, Any] = {}
        while True:
            page = session.client.call("datasets", **cursor)
            found += page["datasets"]
            if "next_cursor" not in page:
                break
            cursor = {"cursor": page["next_cursor"]}
        if as_json:
            session.screen.answer({"datasets": found})
            return
        rows = [
            (
                one["training_name"],
                str(one["images"]),
                str(one["videos"]),
                str(one["captions"]),
                size(one["total_bytes"]),
                one["modified_at"],
            )
            for one in found
        ]
        session.screen.table(
            ("dataset", "images", "videos", "captions", "size", "modified"), rows, right=(1, 2, 3, 4)
        )


def dataset(
    context: typer.Context,
    name: DatasetArgument,
    *,
    resolution: Annotated[
        list[int] | None,
        typer.Option(help="Resolution of the training, for the buckets. Repeat it for several."),
    ] = None,
    trigger: Annotated[
        str | None, typer.Option(help="Name the captions that do not have this trigger word.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show a dataset: its images with captions, and what is odd about them."""
    with open_session(context, as_json=as_json) as session:
        asked: dict[str, Any] = {"training_name": name, "thumbnail_px": 0, "limit": 1000}
        asked |= {"resolution": resolution} if resolution else {}
        asked |= {"trigger_word": trigger} if trigger else {}
        page = session.client.call("dataset", **asked)
        items = list(page["items"])
        while "next_cursor" in page:
            page = session.client.call("dataset", **asked, cursor=page["next_cursor"])
            items += page["items"]
        # The last page knows the most: every image has been compared by then.
        page["items"] = items
        page.pop("next_cursor", None)
        if as_json:
            session.screen.answer(page)
            return
        rows = [
            (
                item["name"],
                _size(item),
                " ".join(item["caption"].split())[:_CAPTION_CHARACTERS],
                ", ".join(item["flags"]),
            )
            for item in items
        ]
        session.screen.table(("name", "size", "caption", "flags"), rows)
        session.screen.line(
            f"{page['images']} images, {page['videos']} videos, {page['captions']} captions, {size(page['total_bytes'])}"
        )
        session.screen.warn(problem["message"] for problem in page["problems"])
        figures = page.get("caption_statistics", {})
        if missing := figures.get("without_trigger_word"):
            session.screen.warn(
                [
                    f"{len(missing)} captions do not have the trigger word {trigger!r}: {', '.join(missing[:10])}."
                ]
            )


def _size(item: dict[str, Any]) -> str:
    return f"{item['width']}x{item['height']}" if "width" in item else "?"


def inspect(
    context: typer.Context,
    name: DatasetArgument,
    *,
    resolution: Annotated[
        list[int] | None,
        typer.Option(help="Resolution of the training, for the buckets. Repeat it for several."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what is odd about a dataset, and what trainers see otherwise than you; exit with 1 if a file prevents a training."""
    with open_session(context, as_json=as_json) as session:
        asked: dict[str, Any] = {"training_name": name, "thumbnail_px": 0, "limit": 1}
        asked |= {"resolution": resolution} if resolution else {}
        page = session.client.call("dataset", **asked)
        session.screen.warn(problem["message"] for problem in page["problems"])
        if as_json:
            session.screen.answer({key: page[key] for key in page if key not in {"items", "next_cursor"}})
        session.screen.line(
            f"{page['path']}: {page['images']} images, {page['videos']} videos, {page['captions']} captions, "
            f"{size(page['total_bytes'])}"
        )
        if any(problem["code"] == _UNREADABLE for problem in page["problems"]):
            raise typer.Exit(ExitCode.FAILED)
