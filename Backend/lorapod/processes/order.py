"""The order of a process: what its caller asked for, stored beside its record so that any worker can resume it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import TypeAdapter, ValidationError

from lorapod.errors import InvalidInput, NotFound
from lorapod.processes.store.port import OrderStore
from lorapod.records.limits import Continuation, Limits
from lorapod.records.record import ProcessRecord, key_of_job
from lorapod.sessions import TrainingSession
from lorapod.storage.s3_access import JobS3
from lorapod.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class SealedCallback:
    """The URL that the caller of one training wants its events at, in the form that is stored."""

    url: str
    #: The bearer token, encrypted by a `Vault`.
    token: str | None = None


@dataclass(frozen=True, kw_only=True)
class Order:
    """What all orders have in common."""

    #: The caller's own id of the job.
    caller_job_id: str | None = None
    idempotency_key: str | None = None
    #: The RunPod job behind the request, if there is one.
    runpod_job_id: str | None = None
    #: The S3 server that the job brought with it, if it is used; its credentials are not stored.
    job_s3: JobS3 | None = None
    #: Where its caller wants its events.
    callback: SealedCallback | None = None

    @property
    def key(self) -> str | None:
        """The key by which the process is found if its caller or the platform sends the same request again."""
        if self.idempotency_key is not None or self.runpod_job_id is None:
            return self.idempotency_key
        return key_of_job(self.runpod_job_id)

    @property
    def secrets(self) -> frozenset[str]:
        """The secrets that its job brought with it: they must not be written anywhere."""
        return self.job_s3.secrets if self.job_s3 is not None else frozenset()

    def with_s3(self, job_s3: JobS3 | None) -> Self:
        """Return the order with the credentials that a later job brings for the same server.

        Raises:
            InvalidInput: they are for another server or bucket.
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

    def with_callback(self, callback: SealedCallback | None) -> Self:
        """Return the order with this callback; with None, keep the one that it has."""
        return self if callback is None else replace(self, callback=callback)

    def made_again(self, record: ProcessRecord) -> Self:
        """Return the order of a repeated request as it belongs to the process that the first request started."""
        del record
        return self

    def continued(self, changes: Continuation) -> Self:
        """Return the order with what a resume changes.

        Raises:
            InvalidInput: it is not a training's.
        """
        if changes != Continuation():
            raise InvalidInput("Only a training has `steps` and `limits`.")
        return self


@dataclass(frozen=True, kw_only=True)
class TaskOrder(Order):
    """One task as its caller asked for it; paths are relative to the workspace."""

    #: JSON values, without secrets.
    input: Mapping[str, Any]
    #: Refuse it if it would have to wait for a GPU.
    refuse_if_busy: bool = False


@dataclass(frozen=True, kw_only=True)
class TrainingOrder(Order):
    """One training as its caller asked for it; paths are relative to the workspace."""

    trainer: str
    #: AI Toolkit's config format, parsed, otherwise as the caller wrote it.
    config: Mapping[str, Any]
    #: Folder of its session, which holds config and output; None: the process's own folders do.
    session: str | None = None
    #: Folder of images and captions; None: the config's own `folder_path`s count.
    dataset_path: str | None = None
    #: Where the dataset has to be fetched from first, as the request named it.
    dataset_source: Mapping[str, Any] | None = None
    #: Where artifacts are uploaded while they are made, as the request named it; None: the endpoint's own targets.
    upload: Mapping[str, Any] | None = None
    #: What was known of the dataset at the request, for answers.
    dataset: Mapping[str, Any] = field(default_factory=dict)
    #: Name of the model if the config has none.
    name: str | None = None
    #: Whether unknown keys of the config are refused; orders of earlier versions, which accepted them, do not say.
    strict: bool = False
    #: What is held back from the training: `share` of the images, and `every` so many steps; None: nothing.
    validation: Mapping[str, Any] | None = None
    #: Steps in all, in place of the config's; None: the config's count.
    steps: int | None = None
    #: The LoRA that it begins with: `path`, and what is known of it, see `lorapod.trainers.start_weights`.
    start_from: Mapping[str, Any] | None = None
    #: The sweep that it belongs to; None if it was started alone.
    sweep_id: str | None = None
    #: When it ends by itself; None: at its last step.
    limits: Limits | None = None
    #: When it ends because it no longer gets better, see `lorapod.trainers.early_stop`.
    stop_when: Mapping[str, Any] | None = None

    def continued(self, changes: Continuation) -> Self:
        """Return the order with what a resume changes."""
        return replace(self, steps=changes.steps or self.steps, limits=changes.limits or self.limits)

    def own_dataset(self, workspace: Workspace) -> Path | None:
        """Return the folder that a fetched dataset must be in, if it has a session; None: the worker chooses."""
        if self.session is None or self.dataset_path is None:
            return None
        return workspace.root / self.dataset_path

    def made_again(self, record: ProcessRecord) -> Self:
        """Return the order for the session that its process began in."""
        if record.session is None or self.session is None:
            return self
        moved = self.dataset_path == TrainingSession(folder=self.session).dataset
        dataset_path = TrainingSession(folder=record.session).dataset if moved else self.dataset_path
        return replace(self, session=record.session, dataset_path=dataset_path)


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """The process that a request started or found."""

    record: ProcessRecord
    #: Warnings for the caller, one sentence each.
    warnings: Sequence[str] = ()
    #: The same RunPod job has asked for it before, on a worker that died before it could answer.
    retried: bool = False
    #: Whether this request began a run; else it found one.
    begun: bool = False

    def warned(self, warnings: Sequence[str]) -> Self:
        """Return it with further warnings."""
        return replace(self, warnings=[*self.warnings, *warnings])

    @classmethod
    def found(cls, record: ProcessRecord, runpod_job_id: str | None) -> Accepted:
        """Return a process that existed already; `runpod_job_id` is the RunPod job that asks now."""
        return cls(record=record, retried=record.is_retry(runpod_job_id))


OrderT = TypeVar("OrderT", bound=Order)


def dump_order(order: Order) -> dict[str, Any]:
    """Return an order as JSON values, without credentials."""
    dumped: dict[str, Any] = _adapter(type(order)).dump_python(order, mode="json")
    return dumped


def load_order(order_type: type[OrderT], stored: Mapping[str, Any]) -> OrderT:
    """Return the order of `dump_order`.

    Raises:
        ValueError: it is damaged.
    """
    return _adapter(order_type).validate_python(stored)


def keep_order(order: Order, store: OrderStore, process_id: str) -> None:
    """Store the order beside the record.

    Raises:
        OSError: the store cannot be written.
    """
    store.keep(process_id, _adapter(type(order)).dump_json(order))


def read_order(order_type: type[OrderT], store: OrderStore, process_id: str) -> OrderT:
    """Return the order of a process.

    Raises:
        NotFound: it is gone or damaged, so the process cannot be resumed.
    """
    try:
        stored = json.loads(store.read(process_id) or b"")
        for before, now in _RENAMED.items():
            if before in stored:
                stored[now] = stored.pop(before)
        return _adapter(order_type).validate_python(stored)
    except (ValidationError, ValueError, TypeError):
        raise NotFound(
            f"The order of {process_id} is gone or damaged.", hint="Start a new process."
        ) from None


#: Fields that orders of earlier versions have under another name.
_RENAMED = {"job_id": "caller_job_id", "asked_by": "runpod_job_id"}


def _adapter(order_type: type[OrderT]) -> TypeAdapter[OrderT]:
    return _ADAPTERS[order_type]


_ADAPTERS: dict[type[Order], TypeAdapter[Any]] = {
    order_type: TypeAdapter(order_type) for order_type in (TaskOrder, TrainingOrder)
}
