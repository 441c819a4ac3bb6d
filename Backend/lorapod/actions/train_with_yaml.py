"""`train_with_yaml`: `train` with its config under the seeds' name."""

from __future__ import annotations

import asyncio

from pydantic import Field

from lorapod.actions.action import Action, RunPodJob
from lorapod.actions.starting import DryRun, Finished, Started, StartRequest, TrainingStarts
from lorapod.settings import Settings
from lorapod.trainers.config_text import parse_config
from lorapod.wire.model import Result


class TrainWithYamlRequest(StartRequest):
    """What to train, and on what."""

    yaml_config: str = Field(min_length=1, description="AI Toolkit config, as YAML text.")


async def train_with_yaml(
    request: TrainWithYamlRequest, *, starts: TrainingStarts, settings: Settings, job: RunPodJob
) -> Result:
    """Check everything that can be checked, and hand the training to the process manager."""
    config = await asyncio.to_thread(parse_config, request.yaml_config, max_bytes=settings.max_config_bytes)
    return await starts.start(config, request, job)


ACTION = Action(
    type="train_with_yaml",
    summary="Start a training from an AI Toolkit config in YAML.",
    request=TrainWithYamlRequest,
    result=Started,
    other_results=(Finished, DryRun),
    run=train_with_yaml,
)
