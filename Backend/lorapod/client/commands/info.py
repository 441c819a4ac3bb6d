"""`health`, `ping` and `schema`: the worker's health and the requests it accepts."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from lorapod.client.commands.screen import Screen, duration, size
from lorapod.client.commands.session import AsJson, ExitCode, open_session

_PLACES = {"runpod_cache": "RunPod's cache", "volume": "volume"}


def health(context: typer.Context, *, as_json: AsJson = False) -> None:
    """Show the worker's health; exit with 1 if it is degraded."""
    with open_session(context, as_json=as_json) as session:
        answer = session.client.call("health")
        if as_json:
            session.screen.answer(answer)
        else:
            _print_health(answer, session.screen)
        if answer["status"] != "ok":
            raise typer.Exit(ExitCode.FAILED)


def ping(context: typer.Context, *, as_json: AsJson = False) -> None:
    """Check that a worker answers, and show how long that takes."""
    with open_session(context, as_json=as_json) as session:
        began = time.perf_counter()
        answer = session.client.call("ping")
        took_s = time.perf_counter() - began
        if as_json:
            session.screen.answer({**answer, "took_s": round(took_s, 3)})
        session.screen.line(f"{answer['worker_id']} answered after {took_s:.2f} s")


def schema(
    context: typer.Context,
    action: Annotated[
        str | None, typer.Argument(help="Show the schema of this action. Default: list all actions.")
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """List the worker's actions, or show the JSON Schema of one."""
    with open_session(context, as_json=as_json) as session:
        answer = session.client.call("schema", action=action)
        if as_json or action is not None:
            session.screen.answer(answer if as_json else answer["actions"][action])
            return
        rows = [(name, one["summary"]) for name, one in answer["actions"].items()]
        session.screen.table(("action", "what it does"), rows)


def _print_health(answer: dict[str, Any], screen: Screen) -> None:
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
    for kind in ("trainers", "engines", "captioners"):
        # A worker of an earlier version has no captioners in its answer.
        names = [one["name"] for one in answer.get(kind, ()) if one["available"]]
        screen.line(f"{kind}: {', '.join(names) or 'none'}")
    if models := answer.get("base_models"):
        shown = [f"{one['model']} ({_PLACES.get(one['place'], one['place'])})" for one in models]
        screen.line(f"base models here: {', '.join(shown)}")
