"""`health`, `ping` and `schema`: how the endpoint is, and what it takes."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from lorapod.client.commands.screen import Screen, duration, size
from lorapod.client.commands.session import AsJson, ExitCode, open_session


def health(context: typer.Context, *, as_json: AsJson = False) -> None:
    """Show how a worker is; ends with 1 where it is not well."""
    with open_session(context, as_json=as_json) as session:
        answer = session.client.call("health")
        if as_json:
            session.screen.answer(answer)
        else:
            _tell(answer, session.screen)
        if answer["status"] != "ok":
            raise typer.Exit(ExitCode.FAILED)


def ping(context: typer.Context, *, as_json: AsJson = False) -> None:
    """Ask whether a worker is there, and how long it takes to say so."""
    with open_session(context, as_json=as_json) as session:
        began = time.perf_counter()
        answer = session.client.call("ping")
        took_s = time.perf_counter() - began
        if as_json:
            session.screen.answer({**answer, "took_s": round(took_s, 3)})
        session.screen.line(f"{answer['worker_id']} answered after {took_s:.2f} s")


def schema(
    context: typer.Context,
    action: Annotated[str | None, typer.Argument(help="One action; else their list.")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Show what the worker takes: the list of its actions, or the JSON Schema of one."""
    with open_session(context, as_json=as_json) as session:
        answer = session.client.call("schema", action=action)
        if as_json or action is not None:
            session.screen.answer(answer if as_json else answer["actions"][action])
            return
        rows = [(name, one["summary"]) for name, one in answer["actions"].items()]
        session.screen.table(("action", "what it does"), rows)


def _tell(answer: dict[str, Any], screen: Screen) -> None:
    screen.line(
        f"{answer['worker_id']}  lorapod {answer['version']}  up {duration(answer['uptime_s'])}  {answer['status']}"
    )
    checks = [
        (check["name"], "ok" if check["ok"] else "failed", check["detail"]) for check in answer["checks"]
    ]
    screen.table(("check", "", "detail"), checks)
    for gpu in answer["gpu"]:
        used, total = size(gpu["memory_used_bytes"]), size(gpu["memory_total_bytes"])
        screen.line(f"GPU {gpu['index']}: {gpu['name']}, {used} of {total} used")
    for kind in ("trainers", "engines"):
        names = [one["name"] for one in answer[kind] if one["available"]]
        screen.line(f"{kind}: {', '.join(names) or 'none'}")
