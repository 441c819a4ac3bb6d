"""`status`, `logs` and `processes`: follow what the worker does."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from lorapod.client.client import Client
from lorapod.client.commands.endings import ENDED, ended
from lorapod.client.commands.known_names import PROCESSES
from lorapod.client.commands.live import INTERVAL_S, follow
from lorapod.client.commands.money_options import PricePerHourOption, look_up_prices
from lorapod.client.commands.panel import cost_of_process, panel, plain_lines
from lorapod.client.commands.screen import Screen, duration, moment
from lorapod.client.commands.session import AsJson, ExitCode, ProcessIdArgument, Via, ViaOption, open_session


def status(
    context: typer.Context,
    process_id: ProcessIdArgument,
    *,
    follow_it: Annotated[
        bool,
        typer.Option("--follow", "-f", help="Keep showing it until it ends. Press Ctrl-C to stop watching."),
    ] = False,
    price_per_hour: PricePerHourOption = None,
    via: ViaOption = Via.AUTO,
    as_json: AsJson = False,
) -> None:
    """Show a process: its status, step, loss, time left, cost and files; exit with 1 if it failed."""
    with open_session(context, as_json=as_json, via=via) as session:
        prices = look_up_prices(context, price_per_hour)
        if follow_it:
            ended(follow(session.client, process_id, session.screen, prices=prices))
            return
        process = session.client.call("process_status", process_id=process_id)
        cost = cost_of_process(process, prices)
        if as_json:
            session.screen.answer(process if cost is None else {**process, "cost": cost.as_json})
        elif session.screen.console.is_terminal:
            asked = process["progress"]["step"]
            losses = session.client.metrics(process_id, keys=["loss/loss"]) if asked else {}
            points = [loss for _, loss in losses.get("loss/loss", ())]
            session.screen.console.print(panel(process, points, cost=cost))
        else:
            for line in plain_lines(process, cost=cost):
                session.screen.line(line)
        if not as_json:
            _print_files(process, session.screen)
        if process["status"] == "failed":
            raise typer.Exit(ExitCode.FAILED)


def logs(
    context: typer.Context,
    process_id: ProcessIdArgument,
    *,
    follow_it: Annotated[
        bool, typer.Option("--follow", "-f", help="Keep printing until the process ends.")
    ] = False,
    tail: Annotated[int | None, typer.Option(min=1, help="Print only this many lines from the end.")] = None,
    via: ViaOption = Via.AUTO,
) -> None:
    """Print a process's log."""
    with open_session(context, as_json=False, via=via) as session:
        text = session.client.logs(process_id)
        shown = text if tail is None else "".join(text.splitlines(keepends=True)[-tail:])
        session.screen.console.out(shown, end="", highlight=False)
        if follow_it:
            _print_new(session.client, process_id, len(text.encode()), session.screen)


def processes(
    context: typer.Context,
    *,
    status: Annotated[
        str | None, typer.Option(help="List only processes with this status, for example running.")
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, max=500, help="List at most this many, the newest first.")
    ] = 20,
    via: ViaOption = Via.AUTO,
    as_json: AsJson = False,
) -> None:
    """List processes, the newest first."""
    with open_session(context, as_json=as_json, via=via) as session:
        answer = session.client.call("processes", status=status, limit=limit)
        session.remember(PROCESSES, *(one["process_id"] for one in answer["processes"]))
        if as_json:
            session.screen.answer(answer)
            return
        rows = [
            (
                one["process_id"],
                one["name"],
                one["status"],
                _step(one["progress"]),
                "" if one["status"] in ENDED else duration(one["progress"].get("eta_s")),
                moment(one["created_at"])[: 16 if session.screen.console.is_terminal else None],
            )
            for one in answer["processes"]
        ]
        columns = ("process", "name", "status", "step", "left", "created")
        session.screen.table(columns, rows, right=(3,), whole=(0, 2, 3, 5))


def _print_new(client: Client, process_id: str, offset: int, screen: Screen) -> None:
    """Print new log text until the process has ended and its log is read to the end."""
    while True:
        over = client.call("process_status", process_id=process_id)["status"] in ENDED
        news = client.logs(process_id, offset=offset)
        screen.console.out(news, end="", highlight=False)
        offset += len(news.encode())
        if over:
            return
        time.sleep(INTERVAL_S)


def _step(progress: dict[str, Any]) -> str:
    total = progress.get("total_steps")
    return f"{progress['step']}/{total}" if total else ""


def _print_files(process: dict[str, Any], screen: Screen) -> None:
    for checkpoint in process["checkpoints"]:
        screen.line(f"  {checkpoint['path']}")
    if process["samples"]:
        screen.line(f"  {len(process['samples'])} samples in {process['output_path']}")
