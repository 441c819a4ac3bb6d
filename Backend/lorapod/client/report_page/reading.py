"""What the page needs, read from the worker; what was read once is not asked for again."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from lorapod.client import report
from lorapod.client.client import Client
from lorapod.client.errors import LorapodError
from lorapod.client.report_page.curve import curve_of, recent_mean
from lorapod.client.report_page.files import WorkerFiles
from lorapod.client.report_page.masking import masked, masked_text
from lorapod.client.report_page.training_report import LOSS, SampleFrame, TrainingReport

#: Lines of the log that the page ends with.
LOG_LINES: Final = 60

#: Most images of samples in one page.
MOST_SAMPLES: Final = 144
MOST_STEPS: Final = 24
MOST_PROMPTS: Final = 24

#: Points that the worker is asked for, for each curve.
_ASKED_POINTS = 6000

_UNSTARTED = frozenset({"queued", "preparing"})

Points = dict[int, float]


class TrainingReader:
    """Reads one training for the page."""

    def __init__(
        self,
        client: Client,
        process_id: str,
        scratch: Path,
        *,
        share: int = 1,
        variant: Mapping[str, Any] | None = None,
    ) -> None:
        """Read nothing yet.

        Args:
            client: the client of its worker's endpoint.
            process_id: the training.
            scratch: a folder for its files.
            share: how many trainings share the page.
            variant: what is special to it, if it belongs to a sweep.
        """
        self._client = client
        self._process_id = process_id
        self._most_samples = max(2, MOST_SAMPLES // share)
        self._points: dict[str, Points] = {}
        self._files = WorkerFiles(client, scratch / process_id)
        self._variant = variant or {}

    def read(self) -> TrainingReport:
        """Return what is known of it now.

        Raises:
            LorapodError: the worker does not answer, or the process is no training.
        """
        process = self._client.call("process_status", process_id=self._process_id, log_tail=LOG_LINES)
        if not process.get("trainer"):
            raise LorapodError(
                f"{self._process_id} is not a training but of type {process.get('type')}: it has no report.",
                hint=f"Fetch its results: lorapod download {self._process_id}",
            )
        chosen = choose(process.get("samples") or (), self._most_samples)
        sheet = (process.get("dataset") or {}).get("contact_sheet")
        config = None if process["status"] in _UNSTARTED else process.get("config_path")
        self._files.fetch([*(sample["path"] for sample in chosen), *filter(None, (sheet, config))])
        stride = _stride(process)
        points = self._read_curves(process, stride)
        shown = masked(process)
        return TrainingReport(
            process=shown,
            variant=self._variant,
            config=masked_text(self._text(config)),
            curves={key: curve_of(series, stride=stride) for key, series in points.items()},
            recent_loss=recent_mean(points.get(LOSS, ())),
            frames=[self._frame(sample, shown.get("sample_prompts") or ()) for sample in chosen],
            all_samples=len(process.get("samples") or ()),
            dataset_sheet=self._files.get(sheet) if sheet else None,
        )

    def _frame(self, sample: Mapping[str, Any], prompts: Sequence[str]) -> SampleFrame:
        index = sample["index"]
        prompt = prompts[index] if index < len(prompts) else ""
        return SampleFrame(
            step=sample["step"],
            index=index,
            prompt=prompt or f"prompt {index + 1}",
            stored_as=sample["path"],
            image=self._files.get(sample["path"]),
        )

    def _read_curves(
        self, process: Mapping[str, Any], stride: int
    ) -> Mapping[str, Sequence[tuple[int, float]]]:
        """Read the new points of every curve, of long ones only every n-th."""
        step = (process.get("progress") or {}).get("step") or 0
        # The likeness of samples is measured later than the losses of the same steps.
        known = min((max(points) for points in self._points.values() if points), default=None)
        if step and (known is None or step > known + stride):
            answer = self._client.call(
                "metrics",
                process_id=self._process_id,
                since_step=known,
                stride=stride if stride > 1 else None,
            )
            for key, series in answer["series"].items():
                self._points.setdefault(key, {}).update((int(at), float(value)) for at, value in series)
        return {key: sorted(points.items()) for key, points in self._points.items()}

    def _text(self, path: str | None) -> str:
        found = self._files.get(path) if path else None
        return "" if found is None else found.read_text("utf-8", errors="replace")


def _stride(process: Mapping[str, Any]) -> int:
    """Return of how many logged values one is asked for."""
    return max(1, math.ceil(((process.get("progress") or {}).get("step") or 0) / _ASKED_POINTS))


def choose(samples: Sequence[Mapping[str, Any]], most: int) -> list[Mapping[str, Any]]:
    """Return the samples for the page: of every prompt, at steps that are evenly chosen, the first and last included."""
    indexes = sorted({sample["index"] for sample in samples})[:MOST_PROMPTS]
    steps = sorted({sample["step"] for sample in samples})
    if not indexes:
        return []
    shown = frozenset(report.spread(steps, min(MOST_STEPS, max(2, most // len(indexes)))))
    newest = {(sample["step"], sample["index"]): sample for sample in samples}
    return [
        sample
        for (step, index), sample in sorted(newest.items(), key=lambda item: item[0])
        if step in shown and index in indexes
    ]
