"""What a page is about: trainings, the trainings of a sweep, and comparisons of their checkpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lorapod.client.client import Client
from lorapod.client.errors import LorapodError
from lorapod.client.report_page.comparison_report import ComparisonReport
from lorapod.client.report_page.files import WorkerFiles
from lorapod.client.report_page.masking import masked
from lorapod.client.report_page.reading import TrainingReader

#: Most trainings in one page: a sweep has no more.
MOST_TRAININGS: Final = 50
#: Cells of one comparison in the page.
MOST_CELLS: Final = 120
#: Processes, and then comparisons among them, that are looked through for one of a training.
_NEWEST_PROCESSES = 100
_NEWEST_COMPARISONS = 5


@dataclass(frozen=True, kw_only=True)
class ReportSubjects:
    """The subjects of one page."""

    trainings: Sequence[TrainingReader]
    comparisons: Sequence[ComparisonReader]


class ComparisonReader:
    """Reads a comparison, again and again while it draws; each file is fetched once."""

    def __init__(self, client: Client, process_id: str, scratch: Path) -> None:
        """Read nothing yet; files will lie in a folder of `scratch`."""
        self._client = client
        self._process_id = process_id
        self._files = WorkerFiles(client, scratch / process_id)

    def read(self) -> ComparisonReport:
        """Fetch the present state, and new cells: those of the first prompts if there are many.

        Raises:
            LorapodError: the worker does not answer.
        """
        process = self._client.call("process_status", process_id=self._process_id)
        cells = list(process.get("cells") or ())[:MOST_CELLS]
        self._files.fetch([cell["path"] for cell in cells])
        return ComparisonReport(
            process=masked(process),
            cells=[(masked(cell), self._files.get(cell["path"])) for cell in cells],
        )


def find_subjects(client: Client, process_ids: Sequence[str], scratch: Path) -> ReportSubjects:
    """Return what the ids name, a sweep's trainings, and the newest comparison of a training's checkpoints.

    Raises:
        LorapodError: an id names nothing that has a report, or the worker does not answer.
    """
    variants: dict[str, Mapping[str, Any]] = {}
    comparisons = []
    for process_id in dict.fromkeys(process_ids):
        process = client.call("process_status", process_id=process_id)
        match process.get("type"):
            case "train":
                variants.setdefault(process_id, {})
            case "sweep":
                members = [one for one in process.get("processes") or () if one.get("process_id")]
                variants |= {one["process_id"]: one.get("variant") or {} for one in members}
            case "compare":
                comparisons.append(process)
            case kind:
                raise LorapodError(
                    f"{process_id} is not a training but of type {kind}: it has no report.",
                    hint=f"Fetch its results: lorapod download {process_id}",
                )
    if not comparisons and variants:
        comparisons = _comparisons_of(client, frozenset(variants))
    if not variants:
        variants = {name: {} for process in comparisons for name in _compared(process)}
    ids = list(variants)[:MOST_TRAININGS]
    if not ids:
        raise LorapodError(
            f"{process_ids[0]} has no training yet: there is nothing to show.",
            hint=f"Look at it: lorapod status {process_ids[0]}",
        )
    return ReportSubjects(
        trainings=[
            TrainingReader(client, each, scratch, share=len(ids), variant=variants[each]) for each in ids
        ],
        comparisons=[ComparisonReader(client, one["process_id"], scratch) for one in comparisons],
    )


def _comparisons_of(client: Client, trainings: frozenset[str]) -> list[dict[str, Any]]:
    """Return the newest completed comparison of one of the trainings, if there is one."""
    listed = client.call("processes", status="completed", limit=_NEWEST_PROCESSES)["processes"]
    ids = [one["process_id"] for one in listed if one.get("type") == "compare"]
    for process_id in ids[:_NEWEST_COMPARISONS]:
        process = client.call("process_status", process_id=process_id)
        if trainings.intersection(_compared(process)):
            return [process]
    return []


def _compared(process: Mapping[str, Any]) -> Sequence[str]:
    named = (cell.get("process_id") for cell in process.get("cells") or ())
    return [name for name in dict.fromkeys(named) if name]
