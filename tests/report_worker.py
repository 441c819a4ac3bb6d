"""A worker in memory that has trainings to report on, with drawn samples: for the page's tests and its screenshots."""

from __future__ import annotations

import base64
import hashlib
import io
import math
import random
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from PIL import Image, ImageDraw, ImageFilter

from lorapod.testing.fake_queue import Answer, FakeQueue

PROMPTS = (
    "mycat asleep on a red sofa, soft window light",
    "a photo of mycat in a snowy garden",
    "mycat as an astronaut, film still",
    "a cat in a forest, without the trigger word",
)
STEPS = (0, 250, 500, 750, 1000, 1250, 1500)
_SCENES = (("#f2c9a1", "#b33a3a"), ("#bcd7ea", "#f6f8fb"), ("#1d1b3a", "#5a4b8a"), ("#9cc28a", "#3f6b3a"))
_FURS = ("#3d3d46", "#c77b3b", "#e6ded2", "#d2622a")

GPU = {
    "index": 0,
    "name": "NVIDIA GeForce RTX 4090",
    "memory_total_bytes": 24_000_000_000,
    "memory_used_bytes": 18_500_000_000,
    "utilization_percent": 97,
    "temperature_c": 64,
}

CONFIG = """job: extension
config:
  name: cat
  process:
    - type: sd_trainer
      trigger_word: mycat
      network: {type: lora, linear: 16, linear_alpha: 16}
      train: {steps: 1500, lr: 0.0001, batch_size: 2, optimizer: adamw8bit}
      model: {name_or_path: stabilityai/stable-diffusion-xl-base-1.0, arch: sdxl}
"""


def painting(scene: int, share: float, *, side: int = 64, seed: int = 0) -> bytes:
    """Return a PNG of an animal before a background; at `share` 0 it is noise, at 1 it is clear."""
    image = _animal(scene % 4, (scene + seed) % 4).resize((side, side), Image.Resampling.LANCZOS)
    if share < 1:
        image = image.filter(ImageFilter.GaussianBlur(side * (1 - share) / 14))
        noise = Image.effect_noise((side, side), 90).convert("RGB")
        image = Image.blend(image, noise, 0.75 * (1 - share) ** 2)
    written = io.BytesIO()
    image.save(written, "PNG", compress_level=1)
    return written.getvalue()


@cache
def _animal(scene: int, fur_number: int) -> Image.Image:
    far, near = _SCENES[scene]
    fur = _FURS[fur_number]
    image = Image.new("RGB", (1024, 1024), far)
    canvas = ImageDraw.Draw(image)
    canvas.rectangle((0, 640, 1024, 1024), fill=near)
    canvas.arc((600, 480, 960, 904), 280, 60, fill=fur, width=56)
    canvas.ellipse((280, 480, 760, 904), fill=fur)
    canvas.ellipse((368, 240, 672, 544), fill=fur)
    for left, tip in ((376, 392), (552, 648)):
        canvas.polygon([(left, 330), (left + 112, 330), (tip, 144)], fill=fur)
    for eye in (440, 552):
        canvas.ellipse((eye, 352, eye + 48, 408), fill="#f6e05e")
        canvas.ellipse((eye + 16, 360, eye + 32, 400), fill="#111")
    canvas.polygon([(496, 424), (544, 424), (520, 452)], fill="#e08a8a")
    return image


def contact_sheet(*, side: int = 64) -> bytes:
    """Return a PNG with eight small paintings."""
    sheet = Image.new("RGB", (side * 4, side * 2), "white")
    for place in range(8):
        one = Image.open(io.BytesIO(painting(place, 1.0, side=side - 4, seed=place // 4)))
        sheet.paste(one, (place % 4 * side + 2, place // 4 * side + 2))
    written = io.BytesIO()
    sheet.save(written, "PNG")
    return written.getvalue()


def losses(count: int, *, seed: int = 1, floor: float = 0.05) -> list[tuple[int, float]]:
    """Return a noisy loss that falls."""
    dice = random.Random(seed)
    return [
        (step, (floor + 0.12 * math.exp(-3 * step / count)) * dice.lognormvariate(0, 0.35))
        for step in range(1, count + 1)
    ]


class ReportWorker:
    """Answers for trainings, as a worker does."""

    def __init__(self, queue: FakeQueue) -> None:
        """Answer on a queue; there is no training yet."""
        self.processes: dict[str, dict[str, Any]] = {}
        self.series: dict[str, dict[str, Sequence[tuple[int, float]]]] = {}
        self.files: dict[str, bytes] = {}
        #: Whole logs; a process without one has an empty log.
        self.logs: dict[str, bytes] = {}
        self.models: dict[str, dict[str, Any]] = {}
        actions: dict[str, Answer] = {
            "process_status": self._status,
            "metrics": self._metrics,
            "logs": self._log,
            "download_file": self._file,
            "processes": self._list,
            "health": lambda _: {"worker_id": "worker-1", "gpu": [GPU]},
            "list_models": lambda _: {"models": list(self.models.values())},
            "describe_model": self._described,
            "edit_model": self._edited,
            "delete": self._deleted,
            "publish_model": self._published,
        }
        queue.actions |= actions

    def add_training(
        self,
        process_id: str = "train_0123456789ab",
        *,
        prompts: Sequence[str] = PROMPTS,
        steps: Sequence[int] = STEPS,
        points: int = 400,
        side: int = 64,
        seed: int = 0,
        drawn: bytes | None = None,
        settings: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> dict[str, Any]:
        """Add a training; `fields` replace those of its status, and `drawn` is every sample if it is given."""
        samples = []
        for step in steps:
            for index in range(len(prompts)):
                path = f"output/{process_id}/cat/samples/1700000000000__{step:09}_{index}.png"
                samples.append({"path": path, "step": step, "index": index})
                share = 1.0 if not steps[-1] else (step / steps[-1]) ** 0.6
                self.files[path] = drawn or painting(index, share, side=side, seed=seed)
        sheet, config = f"output/{process_id}/dataset.png", f"processes/{process_id}/config.yaml"
        self.files |= {sheet: contact_sheet(side=max(64, side // 2)), config: CONFIG.encode()}
        curve = losses(points, seed=seed + 1, floor=0.05 + 0.02 * seed) if points else []
        self.series[process_id] = {
            "loss/loss": [(round(step * steps[-1] / max(1, points)), loss) for step, loss in curve],
            "learning_rate": [(round(step * steps[-1] / max(1, points)), 1e-4) for step, _ in curve],
        }
        known = {
            "learning_rate": 1e-4, "rank": 16, "alpha": 16.0, "batch_size": 2, "resolution": [768, 1024],
            "optimizer": "adamw8bit", "arch": "sdxl",
        }  # fmt: skip
        self.processes[process_id] = {
            "process_id": process_id,
            "type": "train",
            "name": "cat",
            "trainer": "ai-toolkit",
            "status": "completed",
            "phase": None,
            "progress": {"step": steps[-1], "total_steps": steps[-1], "percent": 100.0, "loss": 0.06, "steps_per_s": 0.61},
            "created_at": "2026-01-31T18:00:05Z",
            "started_at": "2026-01-31T18:01:00Z",
            "ended_at": "2026-01-31T18:43:10Z",
            "worker_id": "worker-1",
            "base_model": "stabilityai/stable-diffusion-xl-base-1.0",
            "trigger_word": "mycat",
            "gpu": "NVIDIA GeForce RTX 4090",
            "settings": {**known, **(settings or {})},
            "sample_prompts": list(prompts),
            "warnings": [],
            "samples": samples,
            "checkpoints": [
                {
                    "path": f"output/{process_id}/cat/cat_{step:09}.safetensors" if step < 1500 else f"output/{process_id}/cat/cat.safetensors",
                    "step": step, "size_bytes": 228_000_000, "created_at": "2026-01-31T18:30:00Z", "final": step == 1500,
                }
                for step in (500, 1000, 1500)
            ],
            "dataset": {
                "path": "training_data/cat", "images": 24, "captions": 23, "contact_sheet": sheet,
                "warnings": ["IMG_0007.png has no caption: the trainer learns it with the trigger word alone."],
            },
            "config_path": config,
            "log_tail": ["cat: 1499/1500 loss: 6.1e-02", "Saved checkpoint to cat.safetensors"],
            **fields,
        }  # fmt: skip
        return self.processes[process_id]

    def add_comparison(
        self,
        process_id: str = "compare_0123456789ab",
        *,
        training: str = "train_0123456789ab",
        side: int = 64,
    ) -> dict[str, Any]:
        """Add a completed comparison of a training's checkpoints."""
        cells: list[dict[str, Any]] = []
        for prompt in PROMPTS[:2]:
            for step, weight in ((None, 0.0), (500, 1.0), (1000, 1.0), (1500, 1.0)):
                path = f"output/{process_id}/cells/{len(cells)}.png"
                share = 0.3 if step is None else min(1.0, 0.4 + step / 1600)
                self.files[path] = painting(len(cells) // 4, share, side=side)
                cell: dict[str, Any] = {
                    "lora": "cat",
                    "step": step,
                    "weight": weight,
                    "prompt": prompt,
                    "seed": 7,
                    "path": path,
                }
                if step is not None:
                    cell |= {
                        "process_id": training,
                        "scores": {"likeness": 0.5 + step / 5000, "prompt_fit": 0.31},
                    }
                cells.append(cell)
        self.files[f"output/{process_id}/grid.png"] = painting(1, 1.0, side=4 * side)
        best = {"process_id": training, "step": 1000, "weight": 1.0}
        other = {"process_id": training, "step": 1500, "weight": 1.0}
        self.processes[process_id] = {
            "process_id": process_id,
            "type": "compare",
            "name": "cat",
            "status": "completed",
            "progress": {"step": 8, "total_steps": 8},
            "cells": cells,
            "grid_path": f"output/{process_id}/grid.png",
            "recommended": best,
            "ranking": [
                {
                    **best,
                    "score": 0.71,
                    "reasons": ["It is closest to the dataset and still follows the prompts."],
                },
                {**other, "score": 0.66, "reasons": ["It changes pictures without the trigger word more."]},
            ],
        }
        return self.processes[process_id]

    def add_sweep(
        self, variants: Mapping[str, Mapping[str, Any]], process_id: str = "sweep_0123456789ab"
    ) -> None:
        """Add a sweep over trainings that are there: what is special to each, by its id."""
        members = [
            {"variant": dict(variant), "process_id": name, "status": "completed"}
            for name, variant in variants.items()
        ]
        members.append({"variant": {"rank": 0}, "status": "failed", "error": "rank must be more than 0"})
        self.processes[process_id] = {
            "process_id": process_id, "type": "sweep", "name": "sweep", "status": "completed", "processes": members,
        }  # fmt: skip

    def generation(self, *, count: int = 1, side: int = 512, seed: int = 7, **fields: Any) -> dict[str, Any]:
        """Return the answer of a generation, with its images."""
        process_id = "generate_0123456789ab"
        images = [
            {
                "filename": f"{number}.png", "type": "base64", "path": f"output/{process_id}/{number}.png",
                "data": base64.b64encode(painting(number, 1.0, side=side, seed=number)).decode(),
                "content_type": "image/png", "size_bytes": 1, "width": side, "height": side, "seed": seed + number,
            }
            for number in range(count)
        ]  # fmt: skip
        answer = {"process_id": process_id, "status": "completed", "engine": "diffusers", "seed": seed}
        return {
            **answer,
            "images": images,
            "videos": [],
            "other": [],
            "warnings": [],
            "timings": {},
            **fields,
        }

    def add_models(self, **fields: Any) -> None:
        """Add the checkpoints of the trainings as LoRAs, one that was merged, and a base model; `fields` are of the merged one."""
        for process in [one for one in self.processes.values() if one["type"] == "train"]:
            for saved in process["checkpoints"]:
                self.add_model(
                    saved["path"],
                    name=f"trained/{saved['path'].removeprefix('output/').removesuffix('.safetensors')}",
                    kind="lora",
                    step=saved["step"],
                    rank=process["settings"]["rank"],
                    process_id=process["process_id"],
                    base_model=process["base_model"],
                    trigger_words=[process["trigger_word"]],
                )
        merged = {
            "name": "cat-in-ink",
            "kind": "lora",
            "rank": 48,
            "title": "Cat, in ink",
            "tags": ["cat", "ink"],
        }
        self.add_model("models/loras/cat-in-ink.safetensors", **{**merged, **fields})
        base = "models/checkpoints/sd_xl_base_1.0.safetensors"
        self.add_model(base, name="sd_xl_base_1.0", kind="checkpoint", size_bytes=6_938_040_000)

    def add_model(self, path: str, **fields: Any) -> None:
        """Add a model; `fields` replace those of its view."""
        self.models[path] = {
            "path": path, "format": "safetensors", "size_bytes": 228_000_000, "whole": True,
            "modified_at": f"2026-01-31T19:{len(self.models):02}:00.000Z", **fields,
        }  # fmt: skip

    def _described(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        model = self.models.get(asked["model"])
        if model is None:
            return {"error": f"There is no model {asked['model']!r}.", "code": "not_found"}
        known = {"alpha": 16.0, "learning_rate": 1e-4, "resolution": "1024", "images": 24}
        return {**model, "architecture": "stable-diffusion-xl-v1-base/lora", "training": known}

    def _edited(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        changes = {name: value for name, value in asked.items() if name not in {"type", "model"}}
        if asked["model"] in self.models:
            self.models[asked["model"]] |= changes
        return self._described(asked)

    def _published(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        repo_id = asked["huggingface"]["repo_id"]
        if not repo_id.startswith("me/"):
            return {
                "error": f"There is no repository {repo_id!r}.",
                "code": "upstream_error",
                "hint": "Check HF_TOKEN.",
            }
        name = asked["model"].rpartition("/")[2]
        sent = ["samples/1.png"] if asked.get("samples") else []
        return {
            "repo_id": repo_id,
            "url": f"https://huggingface.co/{repo_id}",
            "file": name,
            "size_bytes": 9,
            "samples": sent,
            "card": True,
        }

    def _deleted(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        gone = self.models.pop(asked["model"])
        return {
            "deleted": [gone["path"]],
            "freed_bytes": gone["size_bytes"],
            "warnings": [],
            "dry_run": False,
        }

    def _status(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        process = self.processes.get(asked["process_id"])
        if process is None:
            return {"error": f"There is no process {asked['process_id']}.", "code": "not_found"}
        return dict(process)

    def _list(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        found = [one for one in self.processes.values() if asked.get("status") in {None, one["status"]}]
        return {"processes": found[::-1], "count": len(found)}

    def _log(self, asked: dict[str, Any]) -> dict[str, Any]:
        log, offset = self.logs.get(asked["process_id"], b""), asked.get("offset") or 0
        begin = max(0, len(log) + offset) if offset < 0 else min(offset, len(log))
        part = log[begin : begin + asked["limit"]]
        return {"text": part.decode(), "offset": begin, "next_offset": begin + len(part), "eof": True}

    def _metrics(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        since, stride = asked.get("since_step") or -1, asked.get("stride") or 1
        found = {
            key: [point for point in points if point[0] > since][::stride]
            for key, points in self.series[asked["process_id"]].items()
        }
        return {"process_id": asked["process_id"], "series": found}

    def _file(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        content = self.files.get(asked["file_path"])
        if content is None:
            return {"error": f"There is no file {asked['file_path']}.", "code": "not_found"}
        offset = asked.get("offset") or 0
        data = content[offset:]
        return {
            "filename": asked["file_path"].rpartition("/")[2],
            "file_path": asked["file_path"],
            "size_bytes": len(content),
            "offset": offset,
            "length": len(data),
            "next_offset": offset + len(data),
            "eof": True,
            "sha256": hashlib.sha256(content).hexdigest(),
            "data": base64.b64encode(data).decode(),
        }
