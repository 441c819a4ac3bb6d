"""Try the targets of a training before it starts: a few bytes are sent as its files will be, and removed again."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol, runtime_checkable

from lorapod.errors import InvalidInput, TooLarge, WorkerError
from lorapod.sessions import in_session
from lorapod.storage.mirror.artifact import ArtifactKind
from lorapod.storage.mirror.key_names import mapped_name, mapped_root
from lorapod.storage.mirror.ledger import ledgers_of, takes_plain_names
from lorapod.storage.port import ObjectStore, OpenStore
from lorapod.storage.s3_access import JobS3
from lorapod.thread_pools import ThreadPool
from lorapod.wire.storage import Target, UploadTargets
from lorapod.workspace import Workspace

logger = logging.getLogger(__name__)

#: Most seconds that the trial of all targets delays a start.
TRIAL_S = 10.0
#: Weights of this size are usual; a store that refuses it may refuse the weights.
USUAL_BYTES = 256 << 20
#: No weights are smaller; a store that refuses this size takes nothing.
SMALLEST_BYTES = 1 << 20
#: What is sent.
CONTENT = b"lorapod tries whether files can be uploaded here.\n"

_TRIALS = ThreadPool("trials", size=8)


@runtime_checkable
class TracelessStore(Protocol):
    """A store that can be tried without an object: the Hub, where each object is a commit that stays."""

    def try_upload(self, key: str, *, create: bool) -> None:
        """Do everything of an upload but its commit; `create`: also make the repository, if it does not exist."""


@runtime_checkable
class SizeLimitedStore(Protocol):
    """A store with a size limit that it does not say: Supabase."""

    def try_size(self, key: str, size_bytes: int) -> None:
        """Begin and end an upload of that size; raise `TooLarge` if the store refuses it."""


@dataclass(frozen=True, kw_only=True)
class _Place:
    """One target, and the folder there that a training uploads to."""

    target: Target
    #: The folder; its last part is the model's name.
    root: str
    name: str
    job_s3: JobS3 | None

    @property
    def plain(self) -> bool:
        return takes_plain_names(self.target)

    @property
    def mapped_root(self) -> str:
        return mapped_root(self.root, plain=self.plain)

    def key(self, kind: ArtifactKind, name: str) -> str:
        return f"{self.mapped_root}/{kind}/{mapped_name(name, plain=self.plain)}"


class UploadTrials:
    """Tries targets; safe for any thread."""

    def __init__(
        self,
        *,
        workspace: Workspace,
        scratch: Path,
        open_target: OpenStore[Target],
        default: UploadTargets | None,
    ) -> None:
        """Send nothing yet; see `Mirrors` for the arguments."""
        self.default = default
        self._workspace = workspace
        self._scratch = scratch
        self._open = open_target

    def check(self, targets: UploadTargets, *, job_s3: JobS3 | None = None) -> None:
        """Check that targets can be opened, without a request to their servers; `job_s3` is the job's own S3 server.

        Raises:
            WorkerError: a setting is missing, or a local folder is one that artifacts are read from.
        """
        self.refuse_own_folders(targets)
        for target in targets.targets:
            with self._open(target, job_s3=job_s3):
                pass

    def run(
        self, upload: UploadTargets | None, *, name: str, job_s3: JobS3 | None = None, create: bool = True
    ) -> list[str]:
        """Try the targets of a new training, and return warnings; blocks for `TRIAL_S` at most.

        Args:
            upload: the request's targets; None: the endpoint's own.
            name: the model's.
            job_s3: the S3 server that the job brought with it.
            create: whether a repository may be made for it.

        Raises:
            WorkerError: a target refuses weights, so nothing of the training could be uploaded there.
        """
        targets = upload or self.default
        if targets is None:
            return []
        # A process id is not known yet; those of the default target have this length.
        root = plain_name(name) if upload is not None else f"{'0' * 40}/{plain_name(name)}"
        own = job_s3 if upload is not None else None
        places = {
            label: _Place(target=target, root=root, name=name, job_s3=own if label == "s3" else None)
            for label, target in labelled(targets).items()
        }
        warnings = [
            f"upload.{label}: the store does not accept the name {name!r}; "
            f"the files are uploaded below {place.mapped_root.rpartition('/')[2]!r}."
            for label, place in places.items()
            if place.mapped_root != place.root
        ]
        return [*warnings, *self._try_all(places, create=create)]

    def run_again(self, process_id: str, *, job_s3: JobS3 | None = None) -> list[str]:
        """Try the targets that a process has uploaded to before, as `run` does.

        Raises:
            WorkerError: a target refuses weights.
            OSError: its ledgers cannot be read now.
        """
        places = {
            path.stem: _Place(
                target=ledger.target.targets[0],
                root=ledger.root,
                name=ledger.model.name if ledger.model is not None else "model",
                job_s3=ledger.job_s3 and (job_s3 or ledger.job_s3),
            )
            for path, ledger in ledgers_of(self._workspace, process_id)
        }
        return self._try_all(places, create=True)

    def refuse_own_folders(self, targets: UploadTargets) -> None:
        """Refuse a local target that artifacts are read from.

        Raises:
            InvalidInput: it is one.
        """
        if targets.local is None:
            return
        folder = self._workspace.safe_path(targets.local.path)
        own = (self._workspace.output, self._workspace.logs, self._workspace.processes)
        if any(folder.is_relative_to(one) for one in own) or in_session(folder, self._workspace):
            raise InvalidInput(
                f"upload.local: {targets.local.path!r} is a folder that artifacts are read from.",
                hint="Name another folder of the workspace.",
            )

    def _try_all(self, places: Mapping[str, _Place], *, create: bool) -> list[str]:
        trials = {label: _TRIALS.submit(self._try, place, create=create) for label, place in places.items()}
        wait(trials.values(), timeout=TRIAL_S)
        warnings: list[str] = []
        refusals: list[tuple[str, WorkerError]] = []
        for label, trial in trials.items():
            try:
                warnings += (f"upload.{label}: {warning}" for warning in _result(trial))
            except WorkerError as error:
                if error.retryable:
                    warnings.append(f"upload.{label}: {error.message} {_LATER}")
                else:
                    refusals.append((label, error))
            except OSError as error:
                warnings.append(f"upload.{label}: {error.strerror or type(error).__name__}. {_LATER}")
        for warning in warnings:
            logger.warning("target of an upload may not work", extra={"reason": warning})
        if refusals:
            raise _refusal(refusals)
        return warnings

    def _try(self, place: _Place, *, create: bool) -> list[str]:
        """Try one target, and return what it does not take beside weights."""
        token = f"trial-{secrets.token_hex(4)}"
        weights = place.key(ArtifactKind.CHECKPOINT, f"{plain_name(place.name)}_{token}.safetensors")
        with self._open(place.target, job_s3=place.job_s3) as store:
            if isinstance(store, TracelessStore):
                store.try_upload(weights, create=create)
                return []
            warnings = list(_try_sizes(store, weights))
            warnings += self._try_key(store, weights)
            for kind, name in ((ArtifactKind.SAMPLE, f"{token}.jpg"), (ArtifactKind.LOG, f"{token}.log")):
                try:
                    warnings += self._try_key(store, place.key(kind, name))
                except WorkerError as error:
                    if error.retryable:
                        raise
                    warnings.append(f"{kind} will not be uploaded: {error.message} {error.hint}".rstrip())
        return warnings

    def _try_key(self, store: ObjectStore, key: str) -> Iterator[str]:
        self._scratch.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=self._scratch, prefix="trial-") as folder:
            path = Path(folder, "content")
            path.write_bytes(CONTENT)
            store.put_file(path, key)
        try:
            store.delete(key)
        except WorkerError as error:
            yield f"{key!r} was uploaded as a trial and cannot be removed: {error.message}"


def plain_name(name: str) -> str:
    """Return a model's name as one part of a key."""
    return name.replace("/", "_").replace("\\", "_")


def labelled(targets: UploadTargets) -> dict[str, Target]:
    """Return the given targets by their names in `upload`."""
    found = {label: getattr(targets, label) for label in type(targets).model_fields}
    return {label: target for label, target in found.items() if target is not None}


#: What a person should know if a store does not answer.
_LATER = "The training starts; its files are uploaded once the store answers."


def _try_sizes(store: ObjectStore, key: str) -> Iterator[str]:
    if not isinstance(store, SizeLimitedStore):
        return
    try:
        store.try_size(key, USUAL_BYTES)
    except TooLarge as error:
        store.try_size(key, SMALLEST_BYTES)
        yield (
            f"the store refuses files of {USUAL_BYTES >> 20} MiB, so it may refuse the weights. {error.hint}".rstrip()
        )


def _result(trial: Future[list[str]]) -> Sequence[str]:
    if trial.done():
        return trial.result()
    trial.cancel()
    return [f"the store did not answer within {TRIAL_S:g} s. {_LATER}"]


def _refusal(refusals: Sequence[tuple[str, WorkerError]]) -> WorkerError:
    """Return the error of the first target that refuses, with all of them in its details."""
    label, first = refusals[0]
    make: Callable[..., WorkerError] = type(first)
    return make(
        f"upload.{label}: {first.message}",
        hint=first.hint,
        details=[{"field": f"upload.{label}", "error": error.message} for label, error in refusals],
    )
