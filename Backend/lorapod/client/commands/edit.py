"""`edit`: change captions, delete and rename images."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lorapod.client.commands.datasets import DatasetArgument
from lorapod.client.commands.screen import Screen
from lorapod.client.commands.session import AsJson, open_session


def edit(
    context: typer.Context,
    name: DatasetArgument,
    *,
    caption: Annotated[
        list[str] | None, typer.Option(metavar="NAME=TEXT", help="A new caption for an image. Repeat it.")
    ] = None,
    prepend: Annotated[str | None, typer.Option(help="Put this in front of every caption.")] = None,
    append: Annotated[str | None, typer.Option(help="Put this at the end of every caption.")] = None,
    replace: Annotated[tuple[str, str], typer.Option(help="Replace one text by another.")] = ("", ""),
    remove: Annotated[str | None, typer.Option(help="Remove a text from every caption.")] = None,
    regex: Annotated[
        tuple[str, str], typer.Option(help="Replace what matches a regular expression; groups are \\1, \\2.")
    ] = ("", ""),
    only: Annotated[
        list[str] | None, typer.Option(help="Change the captions of these images only. Repeat it.")
    ] = None,
    delete: Annotated[
        list[str] | None, typer.Option(help="Delete an image with its caption. Repeat it.")
    ] = None,
    rename: Annotated[
        list[str] | None, typer.Option(metavar="OLD=NEW", help="Give an image another name. Repeat it.")
    ] = None,
    undo: Annotated[str | None, typer.Option(metavar="EDIT_ID", help="Take the newest edit back.")] = None,
    copy: Annotated[
        str | None, typer.Option(help="Make the edit on a copy of this name; the dataset is not changed.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
    as_json: AsJson = False,
) -> None:
    """Change captions, delete and rename images: whole or not at all. The newest edit can be taken back."""
    operations = [
        {"op": "prepend", "text": prepend} if prepend else None,
        {"op": "append", "text": append} if append else None,
        {"op": "replace", "find": replace[0], "text": replace[1]} if replace[0] else None,
        {"op": "remove", "find": remove} if remove else None,
        {"op": "regex", "find": regex[0], "text": regex[1]} if regex[0] else None,
    ]
    chosen = {"names": only} if only else {}
    asked: dict[str, Any] = {
        "training_name": name,
        "operations": [one | chosen for one in operations if one is not None],
        "captions": _pairs(caption, "--caption"),
        "rename": _pairs(rename, "--rename"),
        "delete_names": delete,
        "undo": undo,
        "copy": copy,
        "dry_run": dry_run,
    }
    if not any(
        asked[field] for field in ("operations", "captions", "rename", "delete_names", "undo", "copy")
    ):
        raise typer.BadParameter(
            "say what to change: --caption, --prepend, --append, --replace, --remove, --regex, --delete, --rename or "
            "--undo; or --copy",
            param_hint="--caption",
        )
    if only and not asked["operations"]:
        raise typer.BadParameter(
            "belongs to --prepend, --append, --replace, --remove and --regex.", param_hint="--only"
        )
    with open_session(context, as_json=as_json) as session:
        answer = session.client.call("edit_dataset", **{key: value for key, value in asked.items() if value})
        if as_json:
            session.screen.answer(answer)
            return
        _show_edit(answer, session.screen)


def _show_edit(answer: dict[str, Any], screen: Screen) -> None:
    for change in answer["changed"]:
        screen.line(f"{change['name']}: {change.get('before', '')!r} -> {change.get('after', '')!r}")
    for gone in answer["deleted"]:
        screen.line(f"{gone}: deleted")
    for old, new in answer["renamed"].items():
        screen.line(f"{old}: renamed to {new}")
    if answer.get("dry_run"):
        screen.line(f"{answer['changed_count']} captions would change; nothing was changed.")
    elif "edit_id" in answer:
        screen.line(
            f"Done. `lorapod edit {answer['training_name']} --undo {answer['edit_id']}` takes it back."
        )
    else:
        screen.line("There was nothing to change.")


def _pairs(texts: list[str] | None, option: str) -> dict[str, str]:
    pairs = {}
    for text in texts or []:
        left, equals, right = text.partition("=")
        if not left or not equals:
            raise typer.BadParameter(f"{text!r} has no `=`.", param_hint=option)
        pairs[left] = right
    return pairs
