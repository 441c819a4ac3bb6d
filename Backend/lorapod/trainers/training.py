"""Trainings as processes: the checks of an order, and what a training is in the record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from lorapod.errors import Conflict
from lorapod.processes.context import ProcessContext
from lorapod.processes.order import TrainingOrder
from lorapod.processes.requests import Capability
from lorapod.processes.work import Plan
from lorapod.records.record import ProcessRecord, TrainingDetails
from lorapod.storage.mirror.mirrors import Mirrors
from lorapod.trainers.early_stop import LikenessSource, check_stop_when
from lorapod.trainers.port import HeldOut, Trainer, TrainingPlan, TrainingRequest
from lorapod.trainers.preparation import DatasetProvider, SettleEdits
from lorapod.trainers.speed import Forecasts
from lorapod.trainers.start_weights import ParentLora
from lorapod.trainers.training_run import TrainingRun


class TrainingKind:
    """Processes of type `train`."""

    name = "train"
    order_type = TrainingOrder
    resumable = True
    not_resumable = ""

    def __init__(
        self,
        trainers: Mapping[str, Trainer],
        context: ProcessContext,
        *,
        scratch: Path,
        datasets: DatasetProvider | None = None,
        mirrors: Mirrors | None = None,
        find_writer: Callable[[Path], str | None] = lambda _: None,
        settle_edits: SettleEdits = lambda *_: None,
        forecasts: Forecasts | None = None,
        likeness: LikenessSource | None = None,
    ) -> None:
        """Run trainings with `trainers`, by name.

        Args:
            trainers: the programs that train.
            context: what every process of the worker shares.
            scratch: a folder on local disk.
            datasets: fetches remote datasets and draws contact sheets; None: this worker does neither.
            mirrors: uploads artifacts while they are made; None: nothing is uploaded.
            find_writer: finds the process that changes a dataset.
            settle_edits: waits for an edit of a dataset that is under way.
            forecasts: expects and keeps the speed of trainings; None: nothing is estimated.
            likeness: measures the likeness of samples, for early stops; None: this worker cannot.
        """
        self.datasets = datasets
        self.mirrors = mirrors
        self.settle_edits = settle_edits
        self.forecasts = forecasts
        self.likeness = likeness
        self._find_writer = find_writer
        self._trainers = trainers
        self._workspace = context.workspace
        self._scratch = scratch

    def plan(self, process_id: str, order: TrainingOrder, live: object = None) -> Plan:
        """Have the order's trainer check and plan it.

        Raises:
            WorkerError: what the trainer refuses.
        """
        del live
        trainer = self._trainers[order.trainer]
        self._check_dataset(order)
        plan = self.prepare(process_id, order, fetched=order.dataset_source is None)
        parent = ParentLora.of(order, process_id, self._workspace)
        warnings = [
            *plan.warnings,
            *check_stop_when(order, plan, self.likeness),
            *(parent.check(plan) if parent is not None else ()),
        ]
        return Plan(
            work=TrainingRun(self, order, trainer, plan, parent),
            name=plan.name,
            folder=plan.run_folder.name,
            total_steps=plan.total_steps,
            config=plan.config,
            training=TrainingDetails(
                trainer=order.trainer,
                session=order.session,
                trigger_word=plan.trigger_word,
                base_model=plan.base_model,
                dataset=order.dataset,
                warnings=tuple(warnings),
                start_from=parent.shown if parent is not None else None,
                sweep_id=order.sweep_id,
                limits=order.limits,
                forecast=None
                if self.forecasts is None
                else self.forecasts.forecast(order.trainer, plan.config),
            ),
            warnings=warnings,
        )

    def _check_dataset(self, order: TrainingOrder) -> None:
        """Refuse a dataset that is being captioned: the training would learn from half of the captions."""
        if order.dataset_path is None:
            return
        folder = self._workspace.root / order.dataset_path
        if (writer := self._find_writer(folder)) is not None:
            raise Conflict(
                f"The dataset {folder.name!r} cannot be trained on yet: the process {writer} captions it.",
                hint=f"Wait until {writer} has ended, or cancel it.",
            )

    def prepare(self, process_id: str, order: TrainingOrder, *, fetched: bool) -> TrainingPlan:
        """Return the trainer's own plan, before or after the dataset was fetched.

        Raises:
            WorkerError: what the trainer refuses.
        """
        workspace = self._workspace
        parent = ParentLora.of(order, process_id, workspace)
        return self._trainers[order.trainer].prepare(
            TrainingRequest(
                process_id=process_id,
                config=order.config,
                dataset=workspace.root / order.dataset_path if order.dataset_path is not None else None,
                training_folder=workspace.output_folder(process_id, order.session),
                scratch=self._scratch / process_id,
                workspace=workspace.root,
                name=order.name,
                dataset_ready=fetched,
                strict=order.strict,
                held_out=None if order.validation is None else HeldOut(**order.validation),
                steps=order.steps,
                start=parent.weights if parent is not None else None,
            )
        )

    def capabilities(self, record: ProcessRecord) -> frozenset[Capability]:
        """Return what the record's trainer can be asked for."""
        return self._trainers[record.trainer].capabilities
