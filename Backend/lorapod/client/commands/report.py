"""`report`: an HTML page about trainings, in one file."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from lorapod.client.client import Client
from lorapod.client.commands.known_names import complete_process
from lorapod.client.commands.money_options import PricePerHourOption, look_up_prices
from lorapod.client.commands.session import AsJson, Via, ViaOption, open_session
from lorapod.client.money.price_book import PriceLookup
from lorapod.client.report_page.page import ReportPage
from lorapod.client.report_page.pictures import PictureBook
from lorapod.client.report_page.subjects import find_subjects

ProcessIdsArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="PROCESS_ID...",
        help="Ids of trainings, sweeps or comparisons; `lorapod processes` lists them. Several trainings are shown "
        "side by side.",
        autocompletion=complete_process,
    ),
]

#: Name of the page in a folder.
PAGE_NAME = "report.html"


def report(
    context: typer.Context,
    process_ids: ProcessIdsArgument,
    *,
    to: Annotated[
        Path | None,
        typer.Option(
            help="The file to write, or a folder for report.html. Default: a file named after the process.",
        ),
    ] = None,
    via: ViaOption = Via.AUTO,
    price_per_hour: PricePerHourOption = None,
    as_json: AsJson = False,
) -> None:
    """Write one HTML file with a training's samples, loss curve, settings, dataset, config and log, or of several."""
    with open_session(context, as_json=as_json, via=via) as session:
        ids = list(dict.fromkeys(process_ids))
        target = _target(to, ids)
        write_report(session.client, ids, target, look_up_prices(context, price_per_hour))
        if as_json:
            session.screen.answer({"page": str(target), "size_bytes": target.stat().st_size})
        session.screen.line(str(target))


def write_report(client: Client, process_ids: Sequence[str], target: Path, prices: PriceLookup) -> None:
    """Write the report of these processes to a file; make its folder.

    Raises:
        LorapodError: a process has no report, or Pillow is not installed.
        OSError: the file cannot be written.
    """
    with tempfile.TemporaryDirectory() as scratch:
        found = find_subjects(client, process_ids, Path(scratch))
        trainings = [reader.read().priced(prices.book()) for reader in found.trainings]
        page = ReportPage(trainings, PictureBook(), [one.read() for one in found.comparisons])
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(page.html(), encoding="utf-8")


def _target(to: Path | None, ids: list[str]) -> Path:
    if to is None:
        return Path(f"{ids[0]}.html" if len(ids) == 1 else PAGE_NAME)
    is_file = to.suffix.lower() in {".html", ".htm"} and not to.is_dir()
    return to if is_file else to / PAGE_NAME
