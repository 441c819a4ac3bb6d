"""`train_from_urls`: train on a zip until the end, with all files in one folder of the volume."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, StringConstraints

from lorapod.actions.action import Action, RunPodJob
from lorapod.actions.callbacks import callback_below
from lorapod.actions.session_run import SessionRuns
from lorapod.actions.start_request import StartRequest
from lorapod.settings import Settings
from lorapod.thread_pools import READS
from lorapod.volume import artifacts
from lorapod.wire.dataset import Address, DatasetRef
from lorapod.wire.model import Request, Result
from lorapod.workspace import Workspace

#: Some callers send a number.
JobId = Annotated[str, StringConstraints(max_length=200), Field(coerce_numbers_to_str=True)]


class TrainFromUrlsRequest(Request):
    """What to train, and on what."""

    config: str | dict[str, Any] = Field(
        description="AI Toolkit config, as YAML text or as an object; its paths are replaced by the session's paths."
    )
    dataset_urls: list[Address] = Field(
        min_length=1, description="URL of a zip of images and captions; only the first is used."
    )
    internal_job_id: JobId | None = Field(
        default=None, description="Your own id of the job, returned in events and in the answer."
    )
    callback_base_url: Address | None = Field(
        default=None,
        description="Base URL for events: they are POSTed to it with the path CALLBACK_PATH, if that is set.",
    )
    callback_token: SecretStr | None = Field(
        default=None, description="Sent as a bearer token. It is stored only encrypted."
    )


class TrainedFromUrls(Result):
    """A completed training."""

    success: Literal[True] = Field(
        default=True, description="Always true: a failed training is answered with an error."
    )
    message: str = Field(description="What happened, in one sentence.")
    session_id: str = Field(
        description="Its folder, relative to the volume, with config, dataset and output."
    )
    model_name: str = Field(description="Name of the model.")
    job_id: str | None = Field(description="`internal_job_id`, or the id of the RunPod job.")
    images_downloaded: int = Field(description="Number of images in the dataset.")
    files_uploaded: int = Field(description="Number of files in its output.")


async def train_from_urls(
    request: TrainFromUrlsRequest,
    *,
    session_runs: SessionRuns,
    settings: Settings,
    workspace: Workspace,
    job: RunPodJob,
) -> TrainedFromUrls:
    """Train until the end, and answer with the result."""
    job_id = request.internal_job_id or job.job_id or None
    callback_url = callback_below(request.callback_base_url, settings)
    start = StartRequest(
        dataset=DatasetRef(urls=request.dataset_urls[:1]),
        job_id=job_id,
        callback_url=callback_url,
        callback_token=request.callback_token if callback_url is not None else None,
    )
    end = await session_runs.run(request.config, start, job)
    output = workspace.root / end.process.output_path
    files = await READS.run(lambda: list(artifacts.output_files(output)))
    return TrainedFromUrls(
        message=end.message,
        session_id=end.session.id,
        model_name=end.process.name,
        job_id=job_id,
        images_downloaded=(end.process.dataset.images or 0) if end.process.dataset else 0,
        files_uploaded=len(files),
    )


ACTION = Action(
    type="train_from_urls",
    summary="Train to the end on a zip, in a session folder on the volume; for callers of single-purpose handlers.",
    request=TrainFromUrlsRequest,
    result=TrainedFromUrls,
    run=train_from_urls,
)
