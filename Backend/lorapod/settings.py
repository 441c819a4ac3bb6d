"""Every setting of the worker, and the only place that reads the environment."""

from __future__ import annotations

import os
import re
import socket
import tempfile
from collections.abc import Mapping
from enum import StrEnum
from functools import cached_property
from pathlib import Path

from pydantic import Field, PositiveFloat, PositiveInt, SecretStr
from pydantic_settings import SettingsConfigDict

from lorapod.setting_groups.engines import EngineSettings
from lorapod.setting_groups.events import EventSettings
from lorapod.setting_groups.models import ModelSettings
from lorapod.setting_groups.retention import RetentionSettings
from lorapod.setting_groups.stores import StoreSettings

SERVERLESS_VOLUME = Path("/runpod-volume")
POD_VOLUME = Path("/workspace")

#: What a trainer may see of the worker's environment: an allow-list, so that no key of RunPod's, Supabase's or the
#: broker's ever reaches code that prints its configuration.
TRAINER_ENVIRONMENT = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|TZ|LANG|LANGUAGE|LC_[A-Z]+|TMPDIR|VIRTUAL_ENV"
    r"|LD_LIBRARY_PATH|LIBRARY_PATH|CPATH"
    r"|CUDA_[A-Z0-9_]+|NVIDIA_[A-Z0-9_]+|NCCL_[A-Z0-9_]+|ROCR?_[A-Z0-9_]+|HIP_[A-Z0-9_]+"
    r"|PYTORCH_[A-Z0-9_]+|TORCH_[A-Z0-9_]+|TORCHINDUCTOR_[A-Z0-9_]+|TRITON_[A-Z0-9_]+"
    r"|OMP_[A-Z0-9_]+|MKL_[A-Z0-9_]+|OPENBLAS_[A-Z0-9_]+|NUMEXPR_[A-Z0-9_]+|MALLOC_[A-Z0-9_]+|LD_PRELOAD"
    r"|HF_HOME|HF_HUB_[A-Z0-9_]+|HF_ENDPOINT|HF_DATASETS_CACHE|HF_XET_[A-Z0-9_]+|TRANSFORMERS_[A-Z0-9_]+|DIFFUSERS_[A-Z0-9_]+"
    r"|MODELS_PATH|XDG_CACHE_HOME|SSL_CERT_FILE|SSL_CERT_DIR|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE"
    r"|https?_proxy|HTTPS?_PROXY|no_proxy|NO_PROXY"
)


#: What git and pip may see beside that: where packages come from, and how to get at them.
_INSTALLER_ENVIRONMENT = re.compile(
    r"PIP_[A-Z0-9_]+|GIT_(SSH|SSH_COMMAND|ASKPASS|TERMINAL_PROMPT|(CONFIG|SSL|HTTP|PROXY)_[A-Z0-9_]+)|SSH_AUTH_SOCK"
)

#: Names of variables that hold secrets.
SECRET_NAME = re.compile(r"(?:.*_)?(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS)", re.IGNORECASE)


class TrainWait(StrEnum):
    """Whether `train` keeps its RunPod job open until the training ends."""

    AUTO = "auto"
    TRUE = "true"
    FALSE = "false"


class Settings(ModelSettings, StoreSettings, RetentionSettings, EventSettings, EngineSettings):
    """The worker's settings, one environment variable each (the field's name in capitals)."""

    model_config = SettingsConfigDict(
        extra="ignore", frozen=True, env_ignore_empty=True, hide_input_in_errors=True
    )

    workspace_path: Path | None = Field(
        default=None,
        description="Root of all files of the worker; if not set, the mounted network volume, or /workspace if there is none.",
    )
    network_volume_path: Path | None = Field(
        default=None, description="Where the network volume is mounted; used if WORKSPACE_PATH is not set."
    )
    scratch_path: Path | None = Field(
        default=None,
        description="Local disk for control databases; if not set, the system's temporary folder.",
    )
    ai_toolkit_path: Path | None = Field(
        default=None,
        description="AI Toolkit's root; if not set, /app/ai-toolkit, then <workspace>/ai-toolkit.",
    )
    ai_toolkit_python: Path | None = Field(
        default=None,
        description="The Python that runs AI Toolkit; if not set, the virtual environment in its root.",
    )
    fast_lock: Path | None = Field(
        default=None,
        description="The requirements file, with pinned versions, that FastBackend installs on the volume; if not set, "
        "FastBackend/requirements.lock.",
    )
    fast_environments: Path | None = Field(
        default=None,
        description="Where FastBackend makes its environments; if not set, .environments in the workspace, or on local disk "
        "if there is no volume.",
    )
    trainer: str = Field(
        default="auto", description="Trainer if a request names none: auto, ai-toolkit, builtin."
    )
    train_wait: TrainWait = Field(
        default=TrainWait.AUTO,
        description="Whether `train` waits for the end if a request does not say; auto: on a serverless worker.",
    )
    worker_concurrency: PositiveInt = Field(
        default=8,
        description="RunPod jobs that one worker takes at a time; trainings use each GPU one after the other.",
    )
    refresh_worker: bool = Field(
        default=False,
        description="After each job, have RunPod replace this worker, so that every job begins in a fresh container; the worker "
        "then takes one job at a time. Not while one of its processes still runs.",
    )
    read_timeout_s: PositiveFloat = Field(
        default=60.0,
        description="Seconds after which an action that only reads a little (`health`, `logs`, `list_files`, …) answers "
        "`timeout`.",
    )
    file_timeout_s: PositiveFloat = Field(
        default=3600.0,
        description="Seconds after which an action that reads whole files (`download`, `download_file`, `bulk_download`, "
        "`describe_model`) answers `timeout`.",
    )
    max_reply_bytes: PositiveInt = Field(
        default=18_000_000,
        description="Largest answer, in bytes of JSON; RunPod refuses more than about 20 MB.",
    )
    max_config_bytes: PositiveInt = Field(
        default=256_000, description="Largest training config, in bytes of YAML."
    )
    max_log_bytes: PositiveInt = Field(
        default=64_000_000, description="Largest log of one process, in bytes."
    )
    progress_interval_s: PositiveFloat = Field(
        default=30.0,
        description="Seconds between two progress events of one training, and between two updates to its RunPod job. "
        "A generation's job gets one every 5 seconds at least.",
    )
    cancel_grace_s: PositiveFloat = Field(
        default=30.0, description="Seconds that a cancelled process has after SIGINT before SIGTERM."
    )
    shutdown_grace_s: PositiveFloat = Field(
        default=20.0, description="Seconds that a stopping worker gives its processes altogether."
    )
    lease_s: float = Field(
        default=15.0,
        ge=2,
        description="Seconds within which other workers on the workspace notice that a worker is dead.",
    )
    state_url: SecretStr | None = Field(
        default=None,
        description="Redis server of the records, for workers that share no volume: redis:// or rediss://; "
        "if not set, they are on the workspace.",
    )
    state_prefix: str = Field(
        default="lorapod:",
        description="Prefix of every key in Redis; workers with the same prefix share their state.",
    )
    warm_trainer: bool = Field(
        default=True,
        description="Keep a process that has the trainer imported, and fork each training from it: starts seconds faster.",
    )
    auto_resume: bool = Field(default=False, description="Resume interrupted trainings when a worker starts.")
    front_door_of: str | None = Field(
        default=None,
        description="Id of the endpoint with GPUs on the same volume, if this worker is its front door: it then refuses trainings "
        "and everything else that needs a GPU, and resumes none. `lorapod deploy --front-door cpu` sets it.",
    )
    allow_cpu: bool = Field(
        default=False,
        description="Let AI Toolkit train on a machine that has no GPU (a hundred times slower).",
    )
    allow_private_urls: bool = Field(
        default=False,
        description="Fetch from URLs of private networks, too; only if every caller is trusted.",
    )
    max_fetch_bytes: PositiveInt = Field(
        default=50_000_000_000, description="Largest single file that is fetched from a URL, in bytes."
    )
    max_archive_bytes: PositiveInt = Field(
        default=50_000_000_000, description="Largest zip that `bulk_download` builds, in bytes."
    )
    disk_min_free_bytes: int = Field(
        default=1_000_000_000,
        ge=0,
        description="Free bytes in the workspace below which nothing new is started.",
    )
    min_free_memory_bytes: int = Field(
        default=500_000_000,
        ge=0,
        description="Available bytes of the container's memory below which nothing new is started.",
    )
    # An empty CUDA_VISIBLE_DEVICES hides every GPU, while an empty setting otherwise counts as not set.
    cuda_visible_devices: str | None = Field(
        default_factory=lambda: os.environ.get("CUDA_VISIBLE_DEVICES"),
        description="The GPUs that this worker may use, as in CUDA; if not set, all of the machine.",
    )
    stream_trainer_log: bool = Field(
        default=False,
        description="Copy the trainers' output to the worker's own, line by line; the single-purpose handler does "
        "so unless this is false.",
    )
    log_level: str = Field(default="INFO", description="Level of the worker's own log.")
    runpod_pod_id: str | None = Field(default=None, description="Set by RunPod: this worker's id.")
    runpod_endpoint_id: str | None = Field(default=None, description="Set by RunPod: the endpoint's id.")
    runpod_webhook_get_job: str | None = Field(
        default=None, description="Set by RunPod on a serverless worker: the URL that jobs come from."
    )

    @cached_property
    def workspace_root(self) -> Path:
        """Return the workspace: as set, else the mounted network volume, else `/workspace`."""
        if self.workspace_path is not None:
            return self.workspace_path
        if self.network_volume_path is not None:
            return self.network_volume_path
        return SERVERLESS_VOLUME if SERVERLESS_VOLUME.is_mount() else POD_VOLUME

    @cached_property
    def scratch_root(self) -> Path:
        """Return a folder on local disk, for files that must not be on a network volume."""
        return (self.scratch_path or Path(tempfile.gettempdir())) / "lorapod"

    @property
    def serverless(self) -> bool:
        """Return whether this is a RunPod serverless worker, which is stopped soon after its last job."""
        return self.runpod_webhook_get_job is not None

    @property
    def jobs_at_once(self) -> int:
        """Return how many RunPod jobs this worker takes at a time: one, if its container is replaced after each."""
        return 1 if self.refresh_worker else self.worker_concurrency

    @property
    def waits_for_training(self) -> bool:
        """Return whether `train` waits if its request has no `wait`."""
        if self.train_wait is TrainWait.AUTO:
            return self.serverless
        return self.train_wait is TrainWait.TRUE

    @cached_property
    def worker_id(self) -> str:
        """Return RunPod's id of this worker, else the host's name and this process's number."""
        return self.runpod_pod_id or f"{socket.gethostname()}-{os.getpid()}"

    def secret_values(self) -> frozenset[str]:
        """Return what must never be written or answered: every secret setting, and every variable with a secret's name.

        The variables belong to the platform and other programs; this worker has no setting for them.
        """
        own = (getattr(self, name) for name in type(self).model_fields)
        named = (value for name, value in os.environ.items() if SECRET_NAME.fullmatch(name))
        notified = self.notify_urls.get_secret_value().split() if self.notify_urls is not None else ()
        return frozenset(
            {value.get_secret_value() for value in own if isinstance(value, SecretStr)} | {*named, *notified}
        )

    @property
    def hub_cache(self) -> Path:
        """Return the folder of the HuggingFace libraries' downloads."""
        inherited = self.trainer_environment()
        home = Path(inherited.get("HOME") or "~").expanduser()
        hub_home = Path(inherited.get("HF_HOME") or home / ".cache" / "huggingface")
        return Path(inherited.get("HF_HUB_CACHE") or hub_home / "hub")

    def trainer_environment(self) -> Mapping[str, str]:
        """Return the variables that a trainer inherits: those of `TRAINER_ENVIRONMENT`, and the HuggingFace token."""
        inherited = {name: value for name, value in os.environ.items() if TRAINER_ENVIRONMENT.fullmatch(name)}
        if self.hf_token is not None:
            inherited["HF_TOKEN"] = self.hf_token.get_secret_value()
        return inherited

    def installer_environment(self) -> Mapping[str, str]:
        """Return the variables that git, pip and installers of extensions inherit: no token of the worker's."""
        allowed = (TRAINER_ENVIRONMENT, _INSTALLER_ENVIRONMENT)
        return {
            name: value for name, value in os.environ.items() if any(each.fullmatch(name) for each in allowed)
        }
