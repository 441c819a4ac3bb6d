"""`watch`: the report of running trainings in a browser, live."""

from __future__ import annotations

import tempfile
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from lorapod.client.commands.endings import ENDED, ended
from lorapod.client.commands.money_options import PricePerHourOption, look_up_prices
from lorapod.client.commands.report import ProcessIdsArgument
from lorapod.client.commands.session import AsJson, CommandSession, Via, ViaOption, open_session
from lorapod.client.following import NO_ANSWER_MAX_S
from lorapod.client.money.price_book import PriceLookup
from lorapod.client.report_page.live import LiveServer
from lorapod.client.report_page.page import ReportPage
from lorapod.client.report_page.pictures import PictureBook
from lorapod.client.report_page.subjects import ReportSubjects, find_subjects
from lorapod.client.report_page.training_report import TrainingReport
from lorapod.client.retrying import RetryPolicy, retry

#: Between two questions to the worker while a browser shows the page, and while none does.
INTERVAL_S = 3.0
UNSEEN_INTERVAL_S = 30.0

#: How long the last version waits for a browser.
LAST_LOOK_S = 20.0


def watch(
    context: typer.Context,
    process_ids: ProcessIdsArgument,
    *,
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Port on this machine. Default: one that is free.")
    ] = 0,
    open_it: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    via: ViaOption = Via.AUTO,
    price_per_hour: PricePerHourOption = None,
    as_json: AsJson = False,
) -> None:
    """Show the report of running trainings in a browser, live, until they end or you press Ctrl-C."""
    with open_session(context, as_json=as_json, via=via) as session, tempfile.TemporaryDirectory() as scratch:
        prices = look_up_prices(context, price_per_hour)
        ids = list(dict.fromkeys(process_ids))
        subjects = find_subjects(session.client, ids, Path(scratch))
        last = _watch(session, subjects, prices, port, open_it=open_it)
        for training in last:
            if as_json:
                session.screen.answer(
                    {name: training.process.get(name) for name in ("process_id", "status", "progress")}
                )
        for training in last:
            ended(dict(training.process))


def _watch(
    session: CommandSession,
    subjects: ReportSubjects,
    prices: PriceLookup,
    port: int,
    *,
    open_it: bool,
) -> Sequence[TrainingReport]:
    """Serve the page until everything in it has ended; return the trainings."""
    server, book = LiveServer(), PictureBook()
    # Before the port is opened: an unknown process is refused at once.
    trainings = [reader.read() for reader in subjects.trainings]
    comparisons = [reader.read() for reader in subjects.comparisons]
    patient = RetryPolicy(attempts=None, patience_s=NO_ANSWER_MAX_S, first_wait_s=INTERVAL_S)
    with server.serving(port):
        while True:
            statuses = [one.process["status"] for one in trainings]
            statuses += [one.process["status"] for one in comparisons]
            over = all(status in ENDED for status in statuses)
            first = not server.published
            priced = [training.priced(prices.book()) for training in trainings]
            server.publish(ReportPage(priced, book, comparisons), ended=over)
            if first:
                _tell(session, server, open_it=open_it)
            if over:
                server.wait_for_last_look(LAST_LOOK_S)
                return trainings
            server.wait(INTERVAL_S * max(1.0, len(subjects.trainings) / 4), UNSEEN_INTERVAL_S)
            trainings = [retry(reader.read, patient) for reader in subjects.trainings]
            comparisons = [retry(reader.read, patient) for reader in subjects.comparisons]


def _tell(session: CommandSession, server: LiveServer, *, open_it: bool) -> None:
    if session.screen.as_json:
        session.screen.answer({"url": server.url})
    session.screen.line(server.url)
    session.screen.note(
        ["Open this page in a browser. Press Ctrl-C to stop watching; the training continues."]
    )
    if open_it:
        webbrowser.open(server.url)
