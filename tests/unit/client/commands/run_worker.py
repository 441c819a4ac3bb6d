"""A worker in memory that trains at once: for `lorapod run`, which is stopped at each of its requests."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import httpx

from lorapod.testing.fake_queue import FakeQueue

#: Steps of a training's checkpoints; the second is the best.
STEPS = (2, 4, 6)


class RunWorker(FakeQueue):
    """Answers as a worker does whose processes end as soon as they are looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.datasets: dict[str, dict[str, bytes]] = {}
        self.processes: dict[str, dict[str, Any]] = {}
        self.keys: dict[str, str] = {}
        #: What was begun, by type; a request that finds its process begins nothing.
        self.begun: list[str] = []
        self.jobs: dict[str, dict[str, Any]] = {}
        #: The person presses Ctrl-C at the request with this number, before or after it has its effect.
        self.stop_at: int | None = None
        self.stop_after = False
        self.scores = True
        self.status = "completed"
        self.actions = {
            "list_files": self._list,
            "upload_training_data": self._upload,
            "dataset": self._dataset,
            "caption_dataset": lambda wish: self._begin("caption", wish),
            "train": self._train,
            "compare": lambda wish: self._begin("compare", wish),
            "process_status": self._status,
            "download_file": self._file,
        }

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer one request, or be interrupted."""
        number = len(self.requests) + 1
        if number == self.stop_at and not self.stop_after:
            self.requests.append(request)
            raise KeyboardInterrupt
        answer = super().__call__(request)
        if number == self.stop_at:
            raise KeyboardInterrupt
        if request.url.path.endswith("/run"):
            return self._answer(json.loads(request.content)["input"])
        return answer

    def _list(self, wish: dict[str, Any]) -> dict[str, Any]:
        files = self.datasets.get(Path(wish["path"]).name)
        if files is None:
            return {"error": "There is no folder.", "code": "not_found"}
        more = {"kind": "image", "modified_at": "2026-01-31T12:00:00.000Z"}
        return {
            "files": [
                {"name": name, "path": f"{wish['path']}/{name}", "size_bytes": len(data), **more}
                for name, data in files.items()
            ]
        }

    def _upload(self, wish: dict[str, Any]) -> dict[str, Any]:
        name = wish["training_name"]
        self.begun.append(f"upload {name}")
        files = self.datasets.setdefault(name, {})
        files |= {one["filename"]: base64.b64decode(one["content"]) for one in wish["files"]}
        return {"training_name": name, **self._totals(name)}

    def _dataset(self, wish: dict[str, Any]) -> dict[str, Any]:
        name = wish["training_name"]
        if name not in self.datasets:
            return {"error": "There is no dataset.", "code": "not_found"}
        return {"training_name": name, "problems": [], **self._totals(name)}

    def _totals(self, name: str) -> dict[str, Any]:
        files = self.datasets[name]
        images = [each for each in files if each.endswith(".png")]
        captions = [each for each in images if f"{Path(each).stem}.txt" in files]
        return {
            "path": f"training_data/{name}",
            "images": len(images),
            "videos": 0,
            "captions": len(captions),
            "images_without_caption": sorted(set(images) - set(captions)),
            "total_bytes": sum(map(len, files.values())),
        }

    def _train(self, wish: dict[str, Any]) -> dict[str, Any]:
        if wish.get("dry_run"):
            return {"accepted": True, "warnings": [], "refused": []}
        return self._begin("train", wish)

    def _begin(self, kind: str, wish: dict[str, Any]) -> dict[str, Any]:
        key = wish["idempotency_key"]
        process_id = self.keys.get(key)
        if process_id is None or process_id not in self.processes:
            process_id = f"{kind}_{self.begun.count(kind) + 1:012x}"
            self.keys[key] = process_id
            self.begun.append(kind)
            self.processes[process_id] = self._process(kind, process_id, wish)
            if kind == "caption":
                files = self.datasets[wish["training_name"]]
                for name in [each for each in files if each.endswith(".png")]:
                    files.setdefault(f"{Path(name).stem}.txt", b"a cat")
        elif self.processes[process_id]["status"] != "completed":
            self.processes[process_id]["status"] = "completed"
            self.begun.append(f"resume {kind}")
        return {"process_id": process_id, "status": "queued"}

    def _process(self, kind: str, process_id: str, wish: dict[str, Any]) -> dict[str, Any]:
        status = self.status if kind == "train" else "completed"
        process: dict[str, Any] = {"process_id": process_id, "type": kind, "name": "cat", "status": status}
        process["progress"] = {"step": STEPS[-1], "total_steps": STEPS[-1]}
        if kind == "train":
            process["checkpoints"] = [
                {
                    "path": f"output/{process_id}/cat_{step}.safetensors",
                    "step": step,
                    "final": step == STEPS[-1],
                }
                for step in STEPS
            ]
        if kind == "caption":
            process["captioned"] = 1
        if kind == "compare":
            best = {"process_id": wish["process_ids"][0], "step": STEPS[1], "weight": 1.0}
            process["grid_path"] = f"output/{process_id}/grid.png"
            process |= {"cells": [], "warnings": ["The cells have no scores."]}
            if self.scores:
                process |= {"recommended": best, "ranking": [{**best, "reasons": ["most like the dataset"]}]}
        return process

    def _status(self, wish: dict[str, Any]) -> dict[str, Any]:
        found = self.processes.get(wish["process_id"])
        return found or {"error": "There is no such process.", "code": "not_found"}

    def _file(self, wish: dict[str, Any]) -> dict[str, Any]:
        path = wish["file_path"]
        data = f"the content of {path}".encode()
        return {
            "filename": Path(path).name,
            "size_bytes": len(data),
            "offset": 0,
            "length": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "data": base64.b64encode(data).decode(),
        }
