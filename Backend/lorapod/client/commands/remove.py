"""`rm` and `du`: delete what is not needed, and show what takes the space."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from lorapod.client.commands.known_names import complete_dataset, complete_process
from lorapod.client.commands.screen import size
from lorapod.client.commands.session import AsJson, CommandSession, ExitCode, open_session
from lorapod.client.errors import LorapodError

#: Figures of this age, in seconds, are shown again.
FRESH_S = 60

#: Names that are listed before a person is asked; the rest is counted.
_LISTED = 20


def rm(
    context: typer.Context,
    process_ids: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PROCESS_ID]...",
            help="Processes: their outputs, logs and records.",
            autocompletion=complete_process,
        ),
    ] = None,
    *,
    dataset: Annotated[
        list[str] | None,
        typer.Option(help="A dataset. Repeat it for several.", autocompletion=complete_dataset),
    ] = None,
    model: Annotated[list[str] | None, typer.Option(help="A model, by its name or path.")] = None,
    path: Annotated[list[str] | None, typer.Option(help="A file or folder of the workspace.")] = None,
    keep: Annotated[
        str | None,
        typer.Option(
            help="Keep these checkpoints of the processes, with samples, log and record: final, last:3 or "
            "steps:500,1000."
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be deleted.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete what is not needed any more. Nothing that runs, is used or is still to be uploaded is deleted."""
    if keep is not None and not process_ids:
        raise typer.BadParameter("keeps checkpoints of processes: name a process, too.", param_hint="--keep")
    requests = list(_requests(process_ids or [], dataset or [], model or [], path or [], keep))
    if not requests:
        raise typer.BadParameter(
            "name a process, or use --dataset, --model or --path.", param_hint="PROCESS_ID"
        )
    if not (dry_run or yes or sys.stdin.isatty()):
        raise typer.BadParameter(
            "this is not a terminal, so nothing can be asked: add --yes to delete.", param_hint="--yes"
        )
    with open_session(context, as_json=as_json) as session:
        plans = [session.client.call("delete", dry_run=True, **request) for request in requests]
        if not yes or dry_run:
            _show(plans, session)
        if not dry_run and not yes and not session.screen.confirm("Delete this for good?"):
            session.screen.line("Nothing was deleted.")
            raise typer.Exit(ExitCode.FAILED)
        done = plans if dry_run else list(_deleted(requests, session))
        deleted = [name for one in done for name in one["deleted"]]
        freed_bytes = sum(one["freed_bytes"] for one in done)
        warnings = [warning for one in done for warning in one.get("warnings", ())]
        if as_json:
            answer = {
                "deleted": deleted,
                "freed_bytes": freed_bytes,
                "dry_run": dry_run,
                "warnings": warnings,
            }
            session.screen.answer(answer)
        elif not dry_run:
            session.screen.line(f"Deleted {_counted(deleted)}: {size(freed_bytes)}.")
            if yes:
                session.screen.warn(warnings)


def _deleted(requests: list[Mapping[str, Any]], session: CommandSession) -> Iterator[dict[str, Any]]:
    """Send each request; if one fails, say what the earlier ones have deleted."""
    names: list[str] = []
    for request in requests:
        try:
            answer = session.client.call("delete", **request)
        except LorapodError:
            if names:
                session.screen.note([f"Deleted before the error: {', '.join(names)}."])
            raise
        names += answer["deleted"]
        yield answer


def _requests(
    process_ids: list[str], datasets: list[str], models: list[str], paths: list[str], keep: str | None
) -> Iterator[Mapping[str, Any]]:
    kept = {} if keep is None else {"keep": keep}
    yield from ({"process_id": process_id, **kept} for process_id in dict.fromkeys(process_ids))
    yield from ({"training_name": name} for name in dict.fromkeys(datasets))
    yield from ({"model": name} for name in dict.fromkeys(models))
    if paths:
        yield {"paths": list(dict.fromkeys(paths))}


def _counted(names: list[str]) -> str:
    return "1 file or folder" if len(names) == 1 else f"{len(names)} files and folders"


def _show(plans: list[Any], session: CommandSession) -> None:
    names = [name for plan in plans for name in plan["deleted"]]
    for name in names[:_LISTED]:
        session.screen.line(name)
    if len(names) > _LISTED:
        session.screen.line(f"and {len(names) - _LISTED} more")
    session.screen.line(f"{_counted(names)}: {size(sum(plan['freed_bytes'] for plan in plans))}")
    session.screen.warn([warning for plan in plans for warning in plan.get("warnings", ())])


def du(
    context: typer.Context,
    *,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Measure now, not what was measured a minute ago.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what takes the space of the volume: datasets, outputs, models, caches, and the largest of them."""
    with open_session(context, as_json=as_json) as session:
        usage = session.client.call("disk_usage", max_age_s=0 if fresh else FRESH_S)
        if as_json:
            session.screen.answer(usage)
            return
        rows = [(part["name"], size(part["size_bytes"]), f"{part['files']}") for part in usage["parts"]]
        session.screen.table(("kind", "size", "files"), rows, right=(1, 2))
        session.screen.line("")
        largest = [(entry["path"], size(entry["size_bytes"])) for entry in usage["largest"]]
        session.screen.table(("largest", "size"), largest, right=(1,))
        session.screen.line(f"{size(usage['free_bytes'])} free. `lorapod rm` deletes what is not needed.")
        if not usage["complete"]:
            session.screen.warn(
                ["The volume has more files than could be counted in a minute; there is more than this."]
            )
