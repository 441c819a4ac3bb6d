"""What a training needs beside its trainer: its dataset, fetched and drawn, and the upload of what it writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from lorapod.dataset_reader.entry import DatasetEntry
from lorapod.datasets.sets import entries_of
from lorapod.errors import NotFound, Unsupported
from lorapod.lease import LeaseLost, LeaseState
from lorapod.processes.order import TrainingOrder
from lorapod.processes.run import Run
from lorapod.records.status import Phase
from lorapod.storage.mirror.mirrors import Mirrors
from lorapod.storage.model_card import TrainedModel
from lorapod.storage.s3_access import JobS3
from lorapod.trainers.port import TrainingPlan
from lorapod.trainers.prompt_flags import sample_prompts
from lorapod.wire.dataset import FetchProgress

CONTACT_SHEET = "dataset.png"


#: Waits until no edit of a dataset is under way, or the second argument says that the wait is over.
SettleEdits = Callable[[Path, Callable[[], bool]], None]


class DatasetProvider(Protocol):
    """Fetches datasets; called in a supervisor's thread, may take hours."""

    def fetch(
        self,
        source: Mapping[str, Any],
        process_id: str,
        *,
        stopped: Callable[[], bool],
        tell: Callable[[FetchProgress], None],
        entries: Sequence[DatasetEntry] = (),
        folder: Path | None = None,
        job_s3: JobS3 | None = None,
    ) -> Mapping[str, Any] | None:
        """Fetch and check a remote dataset; return what answers show of it, or None if it was stopped.

        Args:
            source: the dataset as the order names it.
            process_id: the process that needs it; another call for the same process resumes the fetch.
            stopped: asked several times a second.
            tell: called about once a second, in the same thread.
            entries: the datasets of the training's config; other folders that they name are looked into too.
            folder: where it has to lie, for this process alone; what is complete there is not fetched again.
            job_s3: the job's own server, if `source` is in S3.

        Raises:
            WorkerError: it could not be fetched, or cannot be trained on.
            OSError: the disk failed.
        """

    def draw(self, entries: Sequence[DatasetEntry], target: Path) -> bool:
        """Write a contact sheet of the datasets if there is anything to show; takes two seconds at most."""


def fetch_dataset(
    order: TrainingOrder, run: Run, plan: TrainingPlan, datasets: DatasetProvider | None
) -> Mapping[str, Any] | None:
    """Fetch and check the order's remote dataset, without a GPU; return what is known of it, None if it was stopped.

    Raises:
        LeaseLost: another worker has taken the process up meanwhile.
        WorkerError: the dataset cannot be fetched, or cannot be trained on.
        OSError: the disk failed.
    """
    if datasets is None or order.dataset_source is None:
        raise Unsupported("This worker cannot fetch datasets.", hint="Upload the dataset first.")
    ledger, log = run.ledger, run.log
    ledger.change(ledger.record.changed(phase=Phase.FETCHING))
    noted = -1

    def tell(news: FetchProgress) -> None:
        nonlocal noted
        ledger.change(ledger.record.changed(fetch=news))
        if news.files != noted:
            noted = news.files
            log.note(_line(news))

    known = datasets.fetch(
        order.dataset_source,
        ledger.record.process_id,
        stopped=lambda: run.stop is not None or ledger.lease.state is LeaseState.LOST,
        tell=tell,
        entries=entries_of(plan.config),
        folder=order.own_dataset(run.context.workspace),
        job_s3=order.job_s3,
    )
    if ledger.lease.state is LeaseState.LOST:
        raise LeaseLost(ledger.record.process_id)
    if known is not None:
        log.note(f"the dataset is at {known['path']}: {known['images']} images")
        for warning in known.get("warnings", ()):
            log.note(f"dataset: {warning}")
        ledger.change(ledger.record.with_dataset(known))
    return known


def await_dataset(order: TrainingOrder, run: Run, plan: TrainingPlan, settle_edits: SettleEdits) -> None:
    """Wait until the training's datasets are not being edited; its record is stored, so no further edit begins.

    Raises:
        NotFound: the dataset was deleted just before the training was accepted.
        OSError: the disk failed.
    """
    workspace = run.context.workspace
    folders = {entry.folder for entry in entries_of(plan.config)}
    named = None if order.dataset_path is None else workspace.root / order.dataset_path
    for folder in folders if named is None else folders | {named}:
        settle_edits(folder, lambda: run.stop is not None)
    if named is not None and not named.is_dir():
        raise NotFound(f"The dataset {named.name!r} is gone.", hint="`datasets` lists what there is.")


def draw_dataset(
    order: TrainingOrder, run: Run, plan: TrainingPlan, datasets: DatasetProvider | None
) -> None:
    """Write the contact sheet of the training's datasets beside its output.

    Raises:
        OSError: the disk failed.
    """
    ledger, workspace = run.ledger, run.context.workspace
    entries = entries_of(plan.config)
    if not entries and order.dataset_path is not None:
        entries = [DatasetEntry(folder=workspace.root / order.dataset_path)]
    if datasets is None or not entries:
        return
    target = ledger.record.output_folder(workspace) / CONTACT_SHEET
    target.parent.mkdir(parents=True, exist_ok=True)
    if datasets.draw(entries, target):
        known = {**ledger.record.dataset, "contact_sheet": workspace.relative(target)}
        ledger.change(ledger.record.with_dataset(known))


def begin_uploads(order: TrainingOrder, run: Run, plan: TrainingPlan, mirrors: Mirrors | None) -> None:
    """Start to upload what the training will write.

    Raises:
        OSError: the upload cannot be recorded on disk.
        WorkerError: nothing can be uploaded there.
    """
    if mirrors is None:
        return
    mirrors.begin(
        plan.process_id,
        run.record.generation,
        model=TrainedModel(
            name=plan.name,
            base_model=plan.base_model,
            trigger_word=plan.trigger_word,
            prompts=sample_prompts(plan.config),
        ),
        run_folder=plan.run_folder,
        upload=order.upload,
        job_s3=order.job_s3,
    )


def _line(news: FetchProgress) -> str:
    total = "" if news.total_bytes is None else f" of {news.total_bytes}"
    return f"fetching: {news.files} of {news.total_files} files, {news.received_bytes}{total} bytes"
