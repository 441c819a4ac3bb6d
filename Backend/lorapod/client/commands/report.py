"""`report`: an HTML page about one training."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from lorapod.client import report as drawing
from lorapod.client.client import Client
from lorapod.client.commands.session import AsJson, ProcessIdArgument, open_session
from lorapod.client.errors import LorapodError, NotFoundError
from lorapod.client.report_page import ReportPage, write_page

#: Most steps on the sample sheet; with more, the images would be too small to see.
COLUMNS = 8


def report(
    context: typer.Context,
    process_id: ProcessIdArgument,
    *,
    to: Annotated[
        Path | None,
        typer.Option(
            file_okay=False,
            help="Folder for the page and its images. Default: a folder named after the process.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write an HTML page with a training's loss curve, samples, config and dataset, and its images as PNG files."""
    with open_session(context, as_json=as_json) as session:
        process = session.client.process_status(process_id, log_tail=40)
        if "trainer" not in process:
            raise LorapodError(
                f"{process_id} is not a training but of type {process.get('type')}: there is nothing to draw.",
                hint=f"Fetch its results: lorapod download {process_id}",
            )
        folder = to or Path(process_id)
        folder.mkdir(parents=True, exist_ok=True)
        page = ReportPage(
            process=process,
            config=_text(session.client, process["config_path"]),
            loss=_loss(session.client, process, folder),
            samples=_samples(session.client, process, folder),
            dataset=_dataset(session.client, process, folder),
        )
        written = write_page(page, folder / "report.html")
        pictures = [path for path in (page.loss, page.samples, page.dataset) if path is not None]
        if as_json:
            session.screen.answer({"page": str(written), "pictures": [str(path) for path in pictures]})
        for path in (written, *pictures):
            session.screen.line(str(path))


def _loss(client: Client, process: dict[str, Any], folder: Path) -> Path | None:
    points = client.metrics(process["process_id"], keys=["loss/loss"]).get("loss/loss", [])
    if not points:
        return None
    return drawing.loss_curve(points, folder / "loss.png", title=f"{process['name']}: loss")


def _samples(client: Client, process: dict[str, Any], folder: Path) -> Path | None:
    if not process["samples"]:
        return None
    steps = drawing.spread(sorted({sample["step"] for sample in process["samples"]}), COLUMNS)
    with tempfile.TemporaryDirectory() as scratch:
        fetched = [
            drawing.SampleImage(
                path=client.download(sample["path"], Path(scratch)),
                step=sample["step"],
                index=sample["index"],
            )
            for sample in process["samples"]
            if sample["step"] in steps
        ]
        return drawing.sample_sheet(fetched, folder / "samples.png", title=f"{process['name']}: samples")


def _dataset(client: Client, process: dict[str, Any], folder: Path) -> Path | None:
    sheet = (process.get("dataset") or {}).get("contact_sheet")
    return None if sheet is None else _fetched(client, sheet, folder / "dataset.png")


def _text(client: Client, path: str) -> str:
    with tempfile.TemporaryDirectory() as scratch:
        fetched = _fetched(client, path, Path(scratch) / "config.yaml")
        return "" if fetched is None else fetched.read_text("utf-8")


def _fetched(client: Client, path: str, to: Path) -> Path | None:
    """Fetch a file; return None if the worker no longer has it."""
    try:
        return client.download(path, to)
    except NotFoundError:
        return None
