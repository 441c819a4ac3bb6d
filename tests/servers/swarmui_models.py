"""The models of the SwarmUI stand-in: what it lists, how it edits them, and its downloads."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web

Fields = dict[str, Any]

#: What `EditModelMetadata` must have; it writes them all.
REQUIRED = (
    "model title author type description standard_width standard_height usage_hint date license trigger_phrase "
    "prediction_type tags"
).split()

_UNKNOWN: Fields = {"error": "Model not found."}


def _model(name: str, **known: Any) -> Fields:
    plain: Fields = dict.fromkeys(
        (
            *("title", "author", "description", "preview_image", "architecture", "class", "compat_class"),
            *("license", "date", "prediction_type", "usage_hint", "trigger_phrase", "merged_from", "tags"),
        )
    )
    return {
        **plain,
        "name": name,
        "standard_width": 0,
        "standard_height": 0,
        "loaded": False,
        "local": True,
        "is_negative_embedding": False,
        "lora_default_weight": "",
        "lora_default_confinement": "",
        "hash": "",
        **known,
    }


@dataclass
class SwarmModels:
    """Models by kind and name."""

    sets: dict[str, dict[str, Fields]] = field(
        default_factory=lambda: {
            "Stable-Diffusion": {
                name: _model(name)
                for name in ("Official/tiny.safetensors", "Official/tiny-turbo.safetensors", "other.gguf")
            },
            "LoRA": {},
            "VAE": {},
        }
    )
    #: Where files are looked for at a refresh; None: nowhere.
    root: Path | None = None
    #: It ignores a refresh within so long of the last one.
    quiet_s: float = 0.3
    #: What can be downloaded, by address.
    sources: dict[str, bytes] = field(default_factory=dict)
    #: Between two chunks of a download, and their size.
    chunk_s: float = 0.0
    chunk_bytes: int = 1000
    #: Break the connection after so many messages, once.
    drop_after: int | None = None
    downloads: list[Fields] = field(default_factory=list)
    cancelled: int = 0
    _refreshed_s: float = -1e9

    def add(self, kind: str, name: str, **known: Any) -> None:
        self.sets[kind][name] = _model(name, **known)

    def names(self) -> dict[str, list[list[str | None]]]:
        return {kind: [[name, None] for name in sorted(models)] for kind, models in self.sets.items()}

    def best(self, kind: str, name: str) -> str | None:
        """As the source chooses: the very model, else the shortest that has the name in it."""
        wanted = _plain(name)
        alike = [known for known in self.sets[kind] if wanted in _plain(known)]
        exact = next((known for known in alike if _plain(known) == wanted), None)
        return exact or min(alike, key=lambda known: len(_plain(known)), default=None)

    def refresh(self) -> None:
        if time.monotonic() - self._refreshed_s < self.quiet_s:
            return
        self._refreshed_s = time.monotonic()
        self._look("LoRA", "Lora")
        self._look("Stable-Diffusion", "Stable-Diffusion")

    async def list(self, _session: str, fields: Fields) -> Fields:
        for name in ("path", "depth"):
            if name not in fields:
                return {"error": f"Missing required parameter '{name}'"}
        kind = fields.get("subtype", "Stable-Diffusion")
        if kind not in self.sets:
            return {"error": "Invalid sub-type."}
        prefix = f"{fields['path']}/" if fields["path"] else ""
        depth = max(1, min(20, int(fields["depth"])))
        files, folders = [], set()
        for name, model in sorted(self.sets[kind].items()):
            if not name.startswith(prefix):
                continue
            parts = name.removeprefix(prefix).split("/")
            folders |= {"/".join(parts[:count]) for count in range(1, min(depth, len(parts) - 1) + 1)}
            if len(parts) <= depth:
                files.append(model)
        return {"folders": sorted(folders), "files": files}

    async def describe(self, _session: str, fields: Fields) -> Fields:
        if "modelName" not in fields:
            return {"error": "Missing required parameter 'modelName'"}
        models = self.sets.get(fields.get("subtype", "Stable-Diffusion"))
        if models is None:
            return {"error": "Invalid sub-type."}
        name = str(fields["modelName"]).lstrip("/")
        found = models.get(f"{name}.safetensors") or models.get(name)
        return _UNKNOWN if found is None else {"model": found}

    async def edit(self, _session: str, fields: Fields) -> Fields:
        for name in REQUIRED:
            if name not in fields:
                return {"error": f"Missing required parameter '{name}'"}
        # The very key, with its suffix.
        found = self.sets.get(fields.get("subtype", "Stable-Diffusion"), {}).get(fields["model"])
        if found is None:
            return _UNKNOWN
        for name in REQUIRED[1:]:
            if name not in {"type", "tags", "standard_width", "standard_height"}:
                found[name] = fields[name] or None
        found["architecture"] = fields["type"] or found["architecture"]
        found["tags"] = [tag.strip() for tag in fields["tags"].split(",") if tag.strip()] or None
        for name in ("standard_width", "standard_height"):
            found[name] = int(fields[name]) or found[name]
        found["is_negative_embedding"] = fields.get("is_negative_embedding", False)
        for name in ("lora_default_weight", "lora_default_confinement"):
            found[name] = fields.get(name, "")
        return {"success": True}

    async def download(self, socket: web.WebSocketResponse, fields: Fields) -> None:
        self.downloads.append(fields)
        address = str(fields["url"])
        if not address.startswith(("http://", "https://")):
            await socket.send_json({"error": "Invalid URL."})
            return
        if fields["type"] not in self.sets:
            await socket.send_json({"error": "Invalid type."})
            return
        suffix = "gguf" if address.endswith(".gguf") else "safetensors"
        name = f"{str(fields['name']).replace(' ', '_').replace('.', '')}.{suffix}"
        if name in self.sets[fields["type"]]:
            await socket.send_json({"error": "Model at that save path already exists."})
            return
        content = self.sources.get(address.partition("#")[0])
        if content is None:
            await socket.send_json({"error": f"Failed to download {address}: got response code 404 NotFound"})
            return
        if not await self._send(socket, content):
            return
        self.add(fields["type"], name)
        await socket.send_json({"success": True})

    async def _send(self, socket: web.WebSocketResponse, content: bytes) -> bool:
        listening = asyncio.ensure_future(socket.receive())
        for sent, at in enumerate(range(0, len(content), self.chunk_bytes), 1):
            await asyncio.wait({listening}, timeout=self.chunk_s)
            if listening.done():
                message = listening.result()
                if message.type is WSMsgType.TEXT and '"cancel"' in message.data:
                    self.cancelled += 1
                    await socket.send_json({"error": "Download was cancelled."})
                return False
            await socket.send_json(
                {
                    "current_percent": min(1.0, (at + self.chunk_bytes) / len(content)),
                    "overall_percent": 0.2,
                    "per_second": 1_000_000,
                }
            )
            if self.drop_after is not None and sent >= self.drop_after:
                self.drop_after = None
                assert socket._req is not None
                assert socket._req.transport is not None
                socket._req.transport.abort()
                return False
        listening.cancel()
        return True

    def _look(self, kind: str, folder: str) -> None:
        base = self.root / folder if self.root is not None else None
        if base is None or not base.is_dir():
            return
        for path in base.rglob("*.safetensors"):
            if not path.name.startswith("."):
                self.add(kind, path.relative_to(base).as_posix())


def _plain(name: str) -> str:
    return name.removesuffix(".safetensors").lower().translate({ord(letter): None for letter in " []"})
