"""What a training was asked to be, kept beside its record so that any worker can take it up again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from lorapod.errors import InvalidInput, NotFound
from lorapod.processes.lease import this_host
from lorapod.processes.record import ProcessRecord, Progress
from lorapod.processes.status import ProcessStatus
from lorapod.processes.store.port import OrderStore
from lorapod.storage.s3_access import JobS3
from lorapod.trainers.port import TrainingPlan
from lorapod.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class TrainingOrder:
    """One training as its caller asked for it; paths are relative to the workspace."""

    trainer: str
    #: AI Toolkit's config format, parsed, otherwise as the caller wrote it.
    config: Mapping[str, Any]
    #: Folder of the session that it belongs to: config and output lie there; None: in the process's own places.
    session: str | None = None
    #: Folder of pictures and captions; None: the config's own `folder_path`s count.
    dataset_path: str | None = None
    #: Where that folder's content has to be fetched from first, as the request named it.
    dataset_source: Mapping[str, Any] | None = None
    #: Where artifacts go live, as the request named it; None: to the endpoint's own targets, where it has any.
    upload: Mapping[str, Any] | None = None
    #: What was known of the dataset then, for answers.
    dataset: Mapping[str, Any] = field(default_factory=dict)
    #: Name of the model where the config has none.
    name: str | None = None
    #: The caller's own id of the job.
    job_id: str | None = None
    idempotency_key: str | None = None
    #: The RunPod job that asks, where there is one.
    asked_by: str | None = None
    #: The S3 server that its job brought with it, where `dataset_source` or `upload` is there.
    job_s3: JobS3 | None = None

    @property
    def key(self) -> str | None:
        """What the process is found by when the same is asked again, by its caller or by the platform."""
        if self.idempotency_key is not None or self.asked_by is None:
            return self.idempotency_key
        return f"runpod-job:{self.asked_by}"

    @property
    def secrets(self) -> frozenset[str]:
        """What its job brought with it that must not be written anywhere."""
        return self.job_s3.secrets if self.job_s3 is not None else frozenset()

    def with_s3(self, job_s3: JobS3 | None) -> TrainingOrder:
        """The order with the credentials that another job brings for the server of the first.

        Raises:
            InvalidInput: they are for another one.
        """
        if self.job_s3 is None or job_s3 is None:
            return self
        if job_s3 != self.job_s3:
            raise InvalidInput(
                f"The s3Config is for another bucket than the one that this process was started with: "
                f"{self.job_s3.bucket} of {self.job_s3.server}.",
                hint="Send the same s3Config as with `train`; its credentials may be new.",
            )
        return replace(self, job_s3=job_s3)

    def own_dataset(self, workspace: Workspace) -> Path | None:
        """Where a fetched dataset has to lie: in the session's folder; None: wherever the worker keeps it."""
        if self.session is None or self.dataset_path is None:
            return None
        return workspace.root / self.dataset_path


_ADAPTER = TypeAdapter(TrainingOrder)


def first_record(
    kind: str, order: TrainingOrder, plan: TrainingPlan, *, worker_id: str, holder: str, created_at: datetime
) -> ProcessRecord:
    """The record of a process that waits for its turn."""
    return ProcessRecord(
        process_id=plan.process_id,
        type=kind,
        trainer=order.trainer,
        name=plan.name,
        folder=plan.run_folder.name,
        session=order.session,
        status=ProcessStatus.QUEUED,
        created_at=created_at,
        worker_id=worker_id,
        holder=holder,
        host=this_host(),
        progress=Progress(total_steps=plan.total_steps),
        trigger_word=plan.trigger_word,
        base_model=plan.base_model,
        job_id=order.job_id,
        idempotency_key=order.idempotency_key,
        key=order.key,
        asked_by=order.asked_by,
        dataset=order.dataset,
    )


def keep_order(order: TrainingOrder, store: OrderStore, process_id: str) -> None:
    """Keep the order beside the record.

    Raises:
        OSError: the store cannot be written.
    """
    store.keep(process_id, _ADAPTER.dump_json(order))


def read_order(store: OrderStore, process_id: str) -> TrainingOrder:
    """The order of a process.

    Raises:
        NotFound: it is not there any more, or damaged, so the process cannot be taken up again.
    """
    try:
        return _ADAPTER.validate_json(store.read(process_id) or b"")
    except ValidationError:
        raise NotFound(
            f"What {process_id} was to train is not known any more.", hint="Start it anew with `train`."
        ) from None
