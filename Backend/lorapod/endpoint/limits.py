"""The limits of RunPod's queue: sizes, waits, lifetimes, and the policy that a caller may set for a job.

Source: RunPod's documentation of serverless endpoints. Megabytes are decimal here: if the platform says
"about 20 MB", the smaller reading is the safe one: what passes here passes there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

MEGABYTE = 1_000_000
DAY_S = 86_400.0

#: The least and the most that `policy.executionTimeout` and `policy.ttl` may be, in milliseconds.
POLICY_MIN_MS = 5_000
POLICY_MAX_MS = 7 * 86_400_000

#: The least and the most that `/runsync?wait=` may be, in milliseconds.
SYNC_WAIT_MIN_MS = 1_000
SYNC_WAIT_MAX_MS = 300_000

PolicyMs = Annotated[int, Field(ge=POLICY_MIN_MS, le=POLICY_MAX_MS, strict=True)]


@dataclass(frozen=True, kw_only=True)
class EndpointLimits:
    """The limits of one endpoint; the defaults are RunPod's."""

    #: Body of `POST /run`, bytes.
    run_body_bytes: int = 10 * MEGABYTE
    #: Body of `POST /runsync`, bytes.
    runsync_body_bytes: int = 20 * MEGABYTE
    #: Body of a worker's `job-done`, bytes; a larger one is answered 400 and the job fails.
    result_body_bytes: int = 20 * MEGABYTE
    #: Body of a worker's `job-stream`, bytes.
    stream_body_bytes: int = MEGABYTE
    #: How long the result of a `/run` job is kept after its end.
    run_kept_s: float = 1_800.0
    #: How long the result of a `/runsync` job is kept after its end.
    runsync_kept_s: float = 60.0
    #: How long `/runsync` waits if the caller sets no `wait`.
    sync_wait_s: float = 90.0
    #: How long one attempt may run if the job's policy does not say.
    execution_timeout_s: float = 600.0
    #: How long a job may live from its submission if its policy does not say.
    ttl_s: float = DAY_S
    #: How often a job is handed out before losing its worker fails it.
    max_attempts: int = 3


class Policy(BaseModel):
    """The `policy` beside a job's `input`; unknown keys are ignored, as RunPod does."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    execution_timeout_ms: PolicyMs | None = Field(default=None, alias="executionTimeout")
    ttl_ms: PolicyMs | None = Field(default=None, alias="ttl")
    #: A low-priority job waits for a running worker; it does not start one.
    low_priority: bool = Field(default=False, alias="lowPriority", strict=True)
