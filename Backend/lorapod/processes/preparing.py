"""From an order to a plan that can be launched: its dataset fetched, checked and drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lorapod.errors import Unsupported
from lorapod.lease import LeaseLost, LeaseState
from lorapod.processes.ledger import Ledger
from lorapod.processes.log import ProcessLog
from lorapod.processes.order import TrainingOrder
from lorapod.processes.surroundings import Surroundings
from lorapod.storage.model_card import TrainedModel
from lorapod.trainers.port import Phase, TrainingPlan
from lorapod.trainers.sample_prompts import sample_prompts
from lorapod.wire.dataset import FetchProgress

CONTACT_SHEET = "dataset.png"


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """What is done for one run before its launch, in the supervisor's thread."""

    order: TrainingOrder
    #: What was planned while the request was open.
    plan: TrainingPlan
    #: What the trainer makes of the order once the dataset is there.
    replan: Callable[[], TrainingPlan]

    def fetch(
        self, around: Surroundings, ledger: Ledger, log: ProcessLog, stopped: Callable[[], bool]
    ) -> TrainingPlan:
        """Have the dataset there, checked, which needs no GPU; the plan with it, the old one where it was stopped.

        Raises:
            LeaseLost: another worker has taken the process up meanwhile.
            WorkerError: the dataset cannot be had or trained on, or the trainer refuses the config with it.
            OSError: the disk failed.
        """
        source = self.order.dataset_source
        known = None if source is None else self._fetch(source, around, ledger, log, stopped)
        if ledger.lease.state is LeaseState.LOST:
            raise LeaseLost(ledger.record.process_id)
        if known is None:
            return self.plan
        ledger.change(ledger.record.changed(dataset=known))
        return self.replan()

    def finish(self, around: Surroundings, ledger: Ledger, plan: TrainingPlan) -> None:
        """Draw the dataset, and have what the training will write sent; once its GPU is there.

        Raises:
            OSError: the disk failed.
        """
        self._draw(around, ledger)
        around.mirrors.begin(
            plan.process_id,
            ledger.record.generation,
            model=TrainedModel(
                name=plan.name,
                base_model=plan.base_model,
                trigger_word=plan.trigger_word,
                prompts=sample_prompts(plan.config),
            ),
            run_folder=plan.run_folder,
            upload=self.order.upload,
            job_s3=self.order.job_s3,
        )

    def _fetch(
        self,
        source: Mapping[str, Any],
        around: Surroundings,
        ledger: Ledger,
        log: ProcessLog,
        stopped: Callable[[], bool],
    ) -> Mapping[str, Any] | None:
        if around.datasets is None:
            raise Unsupported("This worker cannot fetch datasets.", hint="Upload it first.")
        ledger.change(ledger.record.changed(phase=Phase.FETCHING))
        told = -1

        def tell(news: FetchProgress) -> None:
            nonlocal told
            ledger.change(ledger.record.changed(fetch=news))
            if news.files != told:
                told = news.files
                log.note(_told(news))

        known = around.datasets.fetch(
            source,
            ledger.record.process_id,
            stopped=lambda: stopped() or ledger.lease.state is LeaseState.LOST,
            tell=tell,
            folder=self.order.own_dataset(around.workspace),
            job_s3=self.order.job_s3,
        )
        if known is not None:
            log.note(f"the dataset is at {known['path']}: {known['images']} pictures")
            for warning in known.get("warnings", ()):
                log.note(f"dataset: {warning}")
        return known

    def _draw(self, around: Surroundings, ledger: Ledger) -> None:
        if around.datasets is None or self.order.dataset_path is None:
            return
        target = ledger.record.output_folder(around.workspace) / CONTACT_SHEET
        target.parent.mkdir(parents=True, exist_ok=True)
        if around.datasets.draw(around.workspace.root / self.order.dataset_path, target):
            known = {**ledger.record.dataset, "contact_sheet": around.workspace.relative(target)}
            ledger.change(ledger.record.changed(dataset=known))


def _told(news: FetchProgress) -> str:
    total = "" if news.total_bytes is None else f" of {news.total_bytes}"
    return f"fetching: {news.files} of {news.total_files} files, {news.received_bytes}{total} bytes"
