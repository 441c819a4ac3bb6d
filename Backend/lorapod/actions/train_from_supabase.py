"""`train_from_supabase`: train until the end on a Supabase folder, and upload to another while training."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from lorapod.actions.action import Action, RunPodJob
from lorapod.actions.session_run import SessionRuns
from lorapod.actions.start_request import StartRequest
from lorapod.wire.dataset import DatasetRef, SupabaseFolder
from lorapod.wire.model import Request, Result
from lorapod.wire.storage import UploadTargets
from lorapod.workspace import Workspace

#: Folder of the workspace that contains these sessions.
PARENT = "training"


class TrainFromSupabaseRequest(Request):
    """The config, the dataset, and where the results go."""

    config: str | dict[str, Any] = Field(
        description="AI Toolkit config, as YAML text or as an object; its paths are replaced by the session's paths."
    )
    dataset_config: SupabaseFolder = Field(description="Where the images and captions are.")
    upload_config: SupabaseFolder = Field(
        description="Where samples, checkpoints and logs are uploaded while they are made, in a folder named after the model."
    )


class TrainedFromSupabase(Result):
    """A completed training."""

    success: Literal[True] = Field(
        default=True, description="Always true: a failed training is answered with an error."
    )
    message: str = Field(description="What happened, in one sentence.")
    session_id: str = Field(description="Name of its folder in `training/`.")
    model_name: str = Field(description="Name of the model.")
    upload_folder: str = Field(description="Where the results are: `folder_path` of `upload_config`.")
    output_path: str = Field(description="The results on the worker, as an absolute path.")


async def train_from_supabase(
    request: TrainFromSupabaseRequest, *, session_runs: SessionRuns, workspace: Workspace, job: RunPodJob
) -> TrainedFromSupabase:
    """Train until the end, and answer with the result."""
    start = StartRequest(
        dataset=DatasetRef(supabase=request.dataset_config),
        upload=UploadTargets(supabase=request.upload_config),
        job_id=job.job_id or None,
    )
    end = await session_runs.run(request.config, start, job, parent=PARENT)
    return TrainedFromSupabase(
        message=end.message,
        session_id=end.session.id,
        model_name=end.process.name,
        upload_folder=request.upload_config.folder_path,
        output_path=str(workspace.root / end.process.output_path),
    )


ACTION = Action(
    type="train_from_supabase",
    summary="Train to the end on a Supabase folder and send the results to another, live; for callers of "
    "single-purpose handlers.",
    request=TrainFromSupabaseRequest,
    result=TrainedFromSupabase,
    run=train_from_supabase,
)
