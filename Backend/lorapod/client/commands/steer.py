"""`cancel`, `resume`, `save` and `sample`: change what goes on."""

from __future__ import annotations

from typing import Annotated

import typer

from lorapod.client import training
from lorapod.client.commands.live import follow
from lorapod.client.commands.session import AsJson, ProcessIdArgument, open_session
from lorapod.client.commands.train import EXECUTION_TIMEOUT_S, ended


def cancel(
    context: typer.Context,
    process_id: ProcessIdArgument,
    *,
    save: Annotated[bool, typer.Option(help="A checkpoint first, where the trainer can.")] = True,
    as_json: AsJson = False,
) -> None:
    """Stop a process, by default with a checkpoint."""
    with open_session(context, as_json=as_json) as session:
        answer = session.client.cancel_process(process_id, save=save)
        if as_json:
            session.screen.answer(answer)
        session.screen.line(f"{process_id} was told to stop; it was {answer['status']}.")


def resume(
    context: typer.Context,
    process_id: ProcessIdArgument,
    *,
    follow_it: Annotated[bool, typer.Option("--follow", "-f", help="Show it until it has ended.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take an unfinished training up again, from its newest whole checkpoint."""
    with open_session(context, as_json=as_json) as session:
        wish = {"type": "resume", "process_id": process_id}
        taken_up = training.start(session.client, wish, execution_timeout_s=EXECUTION_TIMEOUT_S)
        session.screen.warn(taken_up.started.get("warnings", ()))
        if follow_it:
            ended(follow(session.client, process_id, session.screen))
        elif as_json:
            session.screen.answer(taken_up.started)
        else:
            session.screen.line(process_id)


def save(context: typer.Context, process_id: ProcessIdArgument, *, as_json: AsJson = False) -> None:
    """Have a running training write a checkpoint now."""
    _wish(context, "save_now", process_id, as_json=as_json)


def sample(context: typer.Context, process_id: ProcessIdArgument, *, as_json: AsJson = False) -> None:
    """Have a running training make its sample pictures now."""
    _wish(context, "sample_now", process_id, as_json=as_json)


def _wish(context: typer.Context, action: str, process_id: str, *, as_json: bool) -> None:
    with open_session(context, as_json=as_json) as session:
        answer = session.client.call(action, process_id=process_id)
        if as_json:
            session.screen.answer(answer)
        session.screen.line(f"{process_id} was asked.")
