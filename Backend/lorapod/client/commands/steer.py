"""`cancel`, `resume`, `save` and `sample`: control a process."""

from __future__ import annotations

from typing import Annotated, cast

import typer

from lorapod.client.commands.endings import ended
from lorapod.client.commands.live import follow
from lorapod.client.commands.money_options import MaxCostOption, PricePerHourOption
from lorapod.client.commands.session import AsJson, ProcessIdArgument, open_session
from lorapod.client.commands.times import limits
from lorapod.client.commands.train import EXECUTION_TIMEOUT_S
from lorapod.client.commands.train_money import TrainingMoney
from lorapod.client.commands.train_options import MaxTimeOption, UntilOption
from lorapod.client.options import TrainingLimitsOptions


def cancel(
    context: typer.Context,
    process_id: ProcessIdArgument,
    *,
    save: Annotated[bool, typer.Option(help="Save a checkpoint first, if the trainer can.")] = True,
    as_json: AsJson = False,
) -> None:
    """Stop a process, by default after a checkpoint."""
    with open_session(context, as_json=as_json) as session:
        answer = session.client.call("cancel", process_id=process_id, save=save)
        if as_json:
            session.screen.answer(answer)
        session.screen.line(
            f"{process_id} is cancelled."
            if answer["status"] == "cancelled"
            else f"{process_id} is being stopped; `lorapod status {process_id}` says when it has ended."
        )


def resume(
    context: typer.Context,
    process_id: ProcessIdArgument,
    *,
    steps: Annotated[
        int | None,
        typer.Option(min=1, help="New total of steps, to train it further, also if it is completed."),
    ] = None,
    max_time: MaxTimeOption = None,
    until: UntilOption = None,
    max_cost: MaxCostOption = None,
    price_per_hour: PricePerHourOption = None,
    follow_it: Annotated[
        bool,
        typer.Option(
            "--follow",
            "-f",
            help="Show it until it ends. Press Ctrl-C to stop watching; the training continues.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Resume an unfinished training from its newest complete checkpoint, or train a completed one further."""
    limited = limits(max_time, until)
    with open_session(context, as_json=as_json) as session:
        money = TrainingMoney.begin(context, session.screen, price_per_hour)
        if max_cost is not None:
            limited = money.limited(max_cost, limited)
        resumed = session.client.resume(
            process_id,
            steps=steps,
            limits=cast("TrainingLimitsOptions | None", limited),
            execution_timeout_s=EXECUTION_TIMEOUT_S,
        )
        session.screen.warn(resumed.answer.get("warnings", ()))
        if follow_it:
            money.warn(resumed.answer)
            ended(follow(session.client, process_id, session.screen, prices=money.prices))
        elif as_json:
            session.screen.answer({**resumed.answer, "cost": money.as_json(resumed.answer)})
        else:
            session.screen.line(process_id)
            if text := money.estimate_text(resumed.answer):
                session.screen.note([text])
            money.warn(resumed.answer)


def save(context: typer.Context, process_id: ProcessIdArgument, *, as_json: AsJson = False) -> None:
    """Save a checkpoint of a running training now."""
    _request(context, "save_now", process_id, as_json=as_json)


def sample(context: typer.Context, process_id: ProcessIdArgument, *, as_json: AsJson = False) -> None:
    """Generate the sample images of a running training now."""
    _request(context, "sample_now", process_id, as_json=as_json)


def _request(context: typer.Context, action: str, process_id: str, *, as_json: bool) -> None:
    with open_session(context, as_json=as_json) as session:
        answer = session.client.call(action, process_id=process_id)
        if as_json:
            session.screen.answer(answer)
        session.screen.line(
            f"{process_id}: the request was sent; the training carries it out at its next step."
        )
