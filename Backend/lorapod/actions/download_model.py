"""`download_model`: bring a model onto the volume, in its own process."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints, model_validator

from lorapod.actions.action import Action, RunPodJob
from lorapod.actions.answers import ProcessAnswers, asking
from lorapod.actions.engine_catalog import CatalogEngine, CatalogRequest
from lorapod.processes.manager import RealProcessManager
from lorapod.processes.order import TaskOrder
from lorapod.settings import Settings
from lorapod.thread_pools import STARTS
from lorapod.wire.model import Result
from lorapod.wire.start_fields import CallerJobId, IdempotencyKey, WaitForEnd
from lorapod.wire.started import Finished, Started


class DownloadModelRequest(CatalogRequest):
    """Which model, and its name on the volume."""

    source: str = Field(
        min_length=1,
        max_length=8192,
        description="`hf://owner/repository/file`, followed by `@revision` if it is not main; or an https URL.",
    )
    name: str | None = Field(
        default=None,
        min_length=1,
        max_length=1000,
        description="Its name below the folder of its `kind`, with or without suffix; if left out, the source's file name.",
    )
    sha256: Annotated[str, StringConstraints(pattern="^[0-9a-fA-F]{64}$")] | None = Field(
        default=None,
        description="The digest that the file must have; the Hub's own digest is always checked.",
    )
    overwrite: bool = Field(default=False, description="Replace a model of that name.")
    metadata: dict[str, Any] | None = Field(
        default=None, description="The description that SwarmUI stores beside it; for `swarmui` only."
    )
    wait: WaitForEnd = None
    idempotency_key: IdempotencyKey = None
    job_id: CallerJobId = None

    @model_validator(mode="after")
    def _metadata_is_an_engine_s(self) -> Self:
        if self.metadata is not None and self.engine is not CatalogEngine.SWARMUI:
            raise ValueError("metadata is for `engine: swarmui`; use edit_model for the workspace's models")
        return self


async def download_model(
    request: DownloadModelRequest,
    *,
    processes: RealProcessManager,
    answers: ProcessAnswers,
    settings: Settings,
    job: RunPodJob,
) -> Result:
    """Start the process; it needs no GPU, so it does not wait for one."""
    own = request.engine is not CatalogEngine.SWARMUI
    wanted = request.model_dump(
        mode="json", exclude_none=True, include={"source", "kind", "name", "sha256", "overwrite", "metadata"}
    )
    order = TaskOrder(
        input=wanted if own else {**wanted, "engine": request.engine},
        caller_job_id=request.job_id,
        idempotency_key=request.idempotency_key,
        runpod_job_id=asking(settings, job),
    )
    accepted = await STARTS.run(processes.submit, "download", order)
    return await answers.answer(accepted, None, job, wait=request.wait)


ACTION = Action(
    type="download_model",
    summary="Fetch a model from the HuggingFace Hub or a URL onto the volume; a process with progress.",
    request=DownloadModelRequest,
    result=Started,
    other_results=(Finished,),
    run=download_model,
    destroys=True,
)
