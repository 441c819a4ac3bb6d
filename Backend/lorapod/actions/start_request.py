"""What all requests for a training have, and what a rehearsal of one answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from lorapod.trainers.fit import WayOut
from lorapod.trainers.model_names import name_after
from lorapod.trainers.registry import AUTO
from lorapod.wire.dataset import DatasetRef
from lorapod.wire.limits import TrainingLimits
from lorapod.wire.model import Request
from lorapod.wire.start_fields import CallbackToken, CallbackUrl, CallerJobId, IdempotencyKey, WaitForEnd
from lorapod.wire.start_from import StartFrom
from lorapod.wire.stop_when import StopWhen
from lorapod.wire.storage import UploadTargets


class StartRequest(Request):
    """The fields that all requests for a training have."""

    dataset: DatasetRef | None = Field(
        default=None, description="Where the images are; without it the config's own `folder_path`s count."
    )
    name: str | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        description="Name of the model, if the config has none. Default: the dataset's name; with `upload` the process id, "
        "so that two trainings never share a folder.",
    )
    trainer: str = Field(
        default=AUTO, description="`ai-toolkit`, `builtin`, or `auto`: the first that is installed."
    )
    wait: WaitForEnd = None
    idempotency_key: IdempotencyKey = None
    job_id: CallerJobId = None
    limits: TrainingLimits | None = Field(
        default=None, description="Ends it by itself, with a checkpoint, after a time or at a moment."
    )
    stop_when: StopWhen | None = Field(
        default=None,
        description="Ends it by itself, with a checkpoint, once it no longer gets better: by the loss of images that are held back, or by "
        "the likeness of its samples to the dataset.",
    )
    start_from: StartFrom | None = Field(
        default=None,
        description="A LoRA whose weights the training begins with; it must have the config's rank, alpha and architecture.",
    )
    strict: bool = Field(
        default=True,
        description="Refuse keys and names in the config that this worker does not know; `false` lets them pass with a "
        "warning, for an AI Toolkit that is newer than the worker.",
    )
    dry_run: bool = Field(
        default=False,
        description="Start nothing; answer with the final config and with what would be refused.",
    )
    callback_url: CallbackUrl = None
    callback_token: CallbackToken = None
    force: bool = Field(
        default=False,
        description="Start it even if it needs more GPU memory than there is, or days without a GPU, by rule of thumb.",
    )
    upload: UploadTargets | None = Field(
        default=None,
        description="Where checkpoints, samples and logs are uploaded while they are made; default: the endpoint's UPLOAD_TARGETS.",
    )

    @property
    def held_out(self) -> Mapping[str, Any] | None:
        """What is held back from the training, as the order stores it; None: nothing."""
        return None

    @property
    def model_name(self) -> str | None:
        """The name of the model if the config has none; None: the process id."""
        # Artifacts are uploaded to a folder of this name.
        return self.name if self.name or self.upload is not None else self._dataset_name()

    def _dataset_name(self) -> str | None:
        return name_after(self.dataset)

    def other_tiers(self) -> Sequence[WayOut]:
        """Return the same training in the tiers of its preset; without a preset, none."""
        return ()
