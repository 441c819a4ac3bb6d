from __future__ import annotations

import asyncio
import base64
import dataclasses
import io
from collections.abc import Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest
from PIL import Image
from tests.unit.models.model_files import put_model

from lorapod.actions.action import ActionTable, RunPodJob
from lorapod.actions.registry import ACTIONS
from lorapod.actions.router import Router
from lorapod.captioners.registry import CaptionerRegistry
from lorapod.deletion import trash
from lorapod.engines.registry import EngineRegistry
from lorapod.settings import Settings
from lorapod.testing.captioner import FakeCaptioner
from lorapod.testing.engine import FakeEngine
from lorapod.testing.trainer import ScriptTrainer
from lorapod.trainers.port import Trainer, TrainingPlan, TrainingRequest
from lorapod.trainers.registry import TrainerRegistry
from lorapod.worker import Worker

T = TypeVar("T")

#: What no answer may ever hold; each stands in one variable of the worker's environment.
SECRETS: Mapping[str, str] = {
    name: f"planted-{name.lower()}-7f3a"
    for name in (
        "HF_TOKEN",
        "RUNPOD_API_KEY",
        "RUNPOD_AI_API_KEY",
        "SUPABASE_SERVICE_KEY",
        "BUCKET_SECRET_ACCESS_KEY",
        "RABBITMQ_URL",
        "CALLBACK_SECRET",
        "COMFY_ORG_API_KEY",
    )
}


#: What stands in a file beside the workspace, where no request may read.
CANARY = b"planted-canary-outside-the-workspace"


class QuickTrainer(ScriptTrainer):
    """Trains one step, whatever a request makes of `steps` and `behaviour`."""

    def prepare(self, request: TrainingRequest) -> TrainingPlan:
        tame = {"name": request.config.get("name"), "steps": 1, "step_s": 0}
        return super().prepare(dataclasses.replace(request, config=tame))


class Desk:
    """A worker in a folder of its own, and a way to ask it from a test without an event loop."""

    def __init__(self, outside: Path, runner: asyncio.Runner, *trainers: Trainer, **settings: Any) -> None:
        """A worker with `trainers`, else with a quick one, and with these settings beside those that it needs."""
        self.outside = outside
        self.root = outside / "workspace"
        self.scratch = outside / "scratch"
        self.canary = outside / "canary.txt"
        self.canary.write_bytes(CANARY)
        self.engine = FakeEngine()
        self.worker = Worker.create(
            Settings(
                workspace_path=self.root, scratch_path=self.scratch, runpod_pod_id="pod-test", **settings
            ),
            trainers=TrainerRegistry(trainers or [QuickTrainer()]),
            engines=EngineRegistry([self.engine]),
            captioners=CaptionerRegistry([FakeCaptioner()]),
        )
        self.worker.start()
        self._runner = runner

    def send(self, event: Any) -> dict[str, Any]:
        return self._runner.run(self.worker.answer(event, RunPodJob(job_id="job-1")))

    def use(self, patch: pytest.MonkeyPatch, actions: ActionTable = ACTIONS, **parts: Any) -> None:
        """Answer with `actions`, and with `parts` in the place of the worker's own, until `patch` ends."""
        router = Router(dataclasses.replace(self.worker.services, **parts), actions)
        for name, value in vars(router).items():
            patch.setattr(self.worker.router, name, value)

    def run(self, scenario: Coroutine[Any, Any, T], *, threads: int | None = None) -> T:
        """Run a coroutine in a loop of its own, whose default executor has so many threads."""

        async def limited() -> T:
            if threads is not None:
                executor = ThreadPoolExecutor(max_workers=threads)
                asyncio.get_running_loop().set_default_executor(executor)
            return await scenario

        loop = asyncio.new_event_loop()
        try:
            return loop.run_until_complete(limited())
        finally:
            # Not `asyncio.run`, which would wait for threads that hang.
            loop.close()

    def ask(self, **fields: Any) -> dict[str, Any]:
        return self.send({"id": "job-1", "input": fields})

    def stock(self) -> Mapping[str, Mapping[str, Any]]:
        """Put a dataset and a finished training in place; answers an input that succeeds for every action."""
        pixel = base64.b64encode(_png()).decode()
        files = [{"filename": "a.png", "content": pixel}, {"filename": "a.txt", "content": "YSBjYXQ="}]
        uploaded = self.ask(type="upload_training_data", training_name="pictures", files=files)
        assert uploaded.get("images") == 1, uploaded
        dataset = {"training_name": "pictures"}
        self.ask(type="upload_training_data", training_name="spare", files=files)
        self.ask(type="upload_training_data", training_name="captioned", files=files)
        trained = self.ask(type="train", preset="sd15", name="cat", dataset=dataset, wait=True)
        assert trained.get("status") == "completed", trained
        process = {"process_id": trained["process_id"]}
        put_model(self.root / "models/loras/cat.safetensors")
        return {
            "upload_training_data": {"training_name": "pictures", "files": files},
            "train": {"preset": "sd15", "name": "cat", "dataset": dataset, "dry_run": True},
            "train_with_yaml": {"yaml_config": "name: cat", "dataset": dataset, "wait": False},
            "train_from_urls": {"config": "name: cat", "dataset_urls": ["http://127.0.0.1:9/a.zip"]},
            "train_from_supabase": {
                "config": "name: cat",
                "dataset_config": {"bucket_name": "pictures", "folder_path": "cats"},
                "upload_config": {"bucket_name": "results", "folder_path": "cats"},
            },
            "process_status": process,
            "logs": process,
            "metrics": process,
            "generate": {"prompt": "a cat", "loras": [process], "image": pixel, "steps": 1, "width": 16},
            "download": process,
            "bulk_download": {"process_ids": [trained["process_id"]]},
            "describe_model": {"model": "models/loras/cat.safetensors"},
            "download_model": {"source": "http://127.0.0.1:9/x.safetensors", "kind": "lora"},
            "edit_model": {"model": "models/loras/cat.safetensors", "title": "Cat"},
            "publish_model": {
                "model": "models/loras/cat.safetensors",
                "huggingface": {"repo_id": "me/cat"},
                "dry_run": True,
            },
            "dataset": {"training_name": "pictures"},
            "edit_dataset": {"training_name": "pictures", "captions": {"a.png": "a cat"}, "dry_run": True},
            "caption_dataset": {"training_name": "captioned", "wait": True},
            "compare": {"process_ids": [trained["process_id"]], "prompts": ["a cat"], "wait": True},
            # One process each, however often they are asked for: the key finds it again.
            "merge_loras": {
                "loras": [{"path": "models/loras/cat.safetensors"}],
                "name": "two",
                "idempotency_key": "merge",
                "wait": False,
            },
            "resize_lora": {
                "path": "models/loras/cat.safetensors",
                "rank": 2,
                "name": "small",
                "idempotency_key": "resize",
                "wait": False,
            },
            "convert_lora": {
                "path": "models/loras/cat.safetensors",
                "format": "kohya",
                "name": "other",
                "idempotency_key": "convert",
                "wait": False,
            },
            "delete": {"training_name": "spare", "dry_run": True},
            "keep_alive": {"duration_s": 0.01, "until_idle": True},
            "list_files": {"path": "training_data/pictures"},
            "download_file": {"file_path": "training_data/pictures/a.txt"},
        }

    def strays(self) -> list[Path]:
        """Everything that does not belong beside the workspace, or right in it: there must be nothing."""
        known = {self.root, self.scratch, self.canary}
        folders = {"training_data", "models", "output", "logs", "processes", trash.FOLDER}
        return [
            *(path for path in self.outside.iterdir() if path not in known),
            *(path for path in self.root.iterdir() if path.name not in folders),
        ]

    def leaked(self, text: str) -> bool:
        """Whether an answer, as JSON text, holds what stands outside."""
        assert self.canary.read_bytes() == CANARY
        return CANARY.decode() in text or base64.b64encode(CANARY).decode()[:40] in text


def _png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(buffer, "PNG")
    return buffer.getvalue()
