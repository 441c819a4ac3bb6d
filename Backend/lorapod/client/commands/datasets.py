"""`datasets`, `dataset` and `inspect`: look at what was uploaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from lorapod.client.client import Client
from lorapod.client.commands.known_names import DATASETS, complete_dataset
from lorapod.client.commands.screen import Screen, moment, size
from lorapod.client.commands.session import AsJson, ExitCode, Via, ViaOption, open_session
from lorapod.client.contact_sheet import (
    ITEMS_MAX,
    SUFFIXES,
    THUMBNAIL_PX,
    check_drawing,
    write_contact_sheets,
)

DatasetArgument = Annotated[
    str,
    typer.Argument(metavar="DATASET", help="Name of the dataset.", autocompletion=complete_dataset),
]

#: Characters of a caption in a table.
_CAPTION_CHARACTERS = 60

#: The code of the problem that images have which no trainer can read.
UNREADABLE = "unreadable"


def _sheet_path(path: Path | None) -> Path | None:
    if path is not None and path.suffix.lower() not in SUFFIXES:
        raise typer.BadParameter(f"{path.name!r} must end with {', '.join(SUFFIXES)}.")
    return path


def datasets(context: typer.Context, *, via: ViaOption = Via.AUTO, as_json: AsJson = False) -> None:
    """List the datasets of the volume."""
    with open_session(context, as_json=as_json, via=via) as session:
        found: list[dict[str, Any]] = []
        cursor: dict[str, Any] = {}
        while True:
            page = session.client.call("datasets", **cursor)
            found += page["datasets"]
            session.screen.warn(map(_arriving, page.get("arriving", ())))
            if "next_cursor" not in page:
                break
            cursor = {"cursor": page["next_cursor"]}
        session.remember(DATASETS, *(one["training_name"] for one in found))
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
                moment(one["modified_at"]),
            )
            for one in found
        ]
        session.screen.table(
            ("dataset", "images", "videos", "captions", "size", "modified"),
            rows,
            right=(1, 2, 3, 4),
            whole=(0, 5),
        )


def _arriving(upload: Mapping[str, Any]) -> str:
    if upload["error"] is not None:
        return f"The upload of {upload['training_name']!r} was refused: {upload['error']}"
    return (
        f"{upload['files']} files ({size(upload['total_bytes'])}) for {upload['training_name']!r} wait for a worker: it adds them "
        "when it trains, or lists or edits datasets."
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
    preset: Annotated[
        str | None,
        typer.Option(help="Preset of the training: count tokens, and name the captions that are cut."),
    ] = None,
    arch: Annotated[
        str | None, typer.Option(help="Architecture of the training instead of a preset: sdxl, flux, wan21.")
    ] = None,
    base_model: Annotated[
        str | None, typer.Option(help="Model of the training: a HuggingFace id, or a path on the volume.")
    ] = None,
    contact_sheet: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            dir_okay=False,
            callback=_sheet_path,
            help=f"Also draw the images with names, captions and flags to a PNG, JPEG or WebP file; with more than "
            f"{ITEMS_MAX} images, FILE-2 and so on follow.",
        ),
    ] = None,
    via: ViaOption = Via.AUTO,
    as_json: AsJson = False,
) -> None:
    """Show a dataset: its images with captions, and what is odd about them."""
    with open_session(context, as_json=as_json, via=via) as session:
        if contact_sheet is not None:
            check_drawing()
        px = 0 if contact_sheet is None else THUMBNAIL_PX
        asked: dict[str, Any] = {"training_name": name, "thumbnail_px": px, "limit": 1000}
        asked |= {"resolution": resolution} if resolution else {}
        asked |= {"trigger_word": trigger} if trigger else {}
        model = {"preset": preset, "arch": arch, "base_model": base_model}
        asked |= {key: value for key, value in model.items() if value}
        page = _all_pages(session.client, asked)
        sheets: Sequence[Path] = ()
        if contact_sheet is not None:
            title = f"{name}: {page['images']} images, {page['videos']} videos, {page['captions']} captions"
            sheets = write_contact_sheets(page["items"], contact_sheet, title=title)
        if as_json:
            for item in page["items"]:
                item.pop("thumbnail", None)
            drawn = {"contact_sheets": [str(path) for path in sheets]} if contact_sheet is not None else {}
            session.screen.answer(page | drawn)
            return
        _show_dataset(page, trigger, session.screen)
        for path in sheets:
            session.screen.line(f"Drawn: {path}")


def _all_pages(client: Client, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the last page, which knows the most as every image has been compared by then, with all items."""
    page = client.call("dataset", **asked)
    items = list(page["items"])
    while "next_cursor" in page:
        page = client.call("dataset", **asked, cursor=page.pop("next_cursor"))
        items += page["items"]
    return page | {"items": items}


def _show_dataset(page: Mapping[str, Any], trigger: str | None, screen: Screen) -> None:
    rows = [
        (
            item["name"],
            _size(item),
            " ".join(item["caption"].split())[:_CAPTION_CHARACTERS],
            ", ".join(item["flags"]),
        )
        for item in page["items"]
    ]
    screen.table(("name", "size", "caption", "flags"), rows)
    screen.line(
        f"{page['images']} images, {page['videos']} videos, {page['captions']} captions, {size(page['total_bytes'])}"
    )
    screen.warn(problem["message"] for problem in page["problems"])
    figures = page.get("caption_statistics", {})
    if missing := figures.get("without_trigger_word"):
        screen.warn(
            [f"{len(missing)} captions do not have the trigger word {trigger!r}: {', '.join(missing[:10])}."]
        )
    _print_tokens(screen, figures)


def _print_tokens(screen: Screen, figures: Mapping[str, Any]) -> None:
    """Say how long the captions are for the model that will be trained."""
    if reason := figures.get("no_tokens"):
        screen.warn([reason])
    if (tokens := figures.get("tokens")) is None:
        return
    limit = f", the trainer reads {tokens['limit']}" if "limit" in tokens else ""
    screen.line(
        f"captions of {tokens['min']} to {tokens['max']} tokens, {tokens['median']:g} in the middle ({tokens['tokenizer']}{limit})"
    )
    if tokens["cut_count"]:
        names = ", ".join(tokens["cut"][:10])
        screen.warn(
            [
                f"{tokens['cut_count']} captions are longer than that, and the rest of them is not learnt: {names}."
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
    """Say what is odd about a dataset, and what trainers see differently from you; exit with 1 if a file prevents a training."""
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
        if any(problem["code"] == UNREADABLE for problem in page["problems"]):
            raise typer.Exit(ExitCode.FAILED)
