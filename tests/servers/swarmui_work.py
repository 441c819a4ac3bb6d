"""How the SwarmUI stand-in generates: pictures that show their seed as a colour, a step at a time."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from aiohttp import web
from PIL import Image

if TYPE_CHECKING:
    from tests.servers.swarmui_models import SwarmModels

Fields = dict[str, Any]
Emit = Callable[[Fields], Awaitable[None]]

PARAMETERS = frozenset(
    """prompt negativeprompt model images seed steps cfgscale width height initimage initimagecreativity maskimage promptimages loras
    loraweights sampler scheduler batchsize donotsave imageformat noseedincrement variationseed
    variationseedstrength videoframes textvideoframes nopreviews""".split()
)


class Interrupted(Exception):
    """The session's generations were interrupted."""


@dataclass
class SwarmWork:
    """What is generated, and how."""

    parameters: frozenset[str] = PARAMETERS
    step_s: float = 0.0
    #: A sentence that each generation fails with, or only those whose prompt says `please fail`.
    failure: str | None = None
    #: Indices that are taken back at the end.
    discards: tuple[int, ...] = ()
    #: Break the websocket after so many messages with pictures, once.
    drop_after_images: int | None = None
    #: Do nothing at all for so long, once, after the first step.
    freeze_s: float = 0.0
    #: A mini-grid of several pictures, as some users have it set.
    grid: bool = False
    interrupts: int = 0
    live: int = 0
    #: Seeds of the pictures that were drawn, in order.
    drawn: list[int] = field(default_factory=list)
    output: dict[str, bytes] = field(default_factory=dict)
    #: `missing`, `bad_path`, `unauthorized`, `file_error`, `redirect`, `cut`, `empty`: what becomes of the next views.
    view_faults: list[str] = field(default_factory=list)
    #: Replaces every picture's bytes.
    content: bytes | None = None
    views: list[str] = field(default_factory=list)
    _interrupts: dict[str, asyncio.Event] = field(default_factory=dict)

    async def interrupt(self, session: str, _fields: Fields) -> Fields:
        self.interrupts += 1
        if session in self._interrupts:
            self._interrupts.pop(session).set()
        return {"success": True}

    async def over_http(self, session: str, fields: Fields, models: SwarmModels) -> Fields:
        outputs: list[Fields] = []

        async def emit(message: Fields) -> None:
            outputs.append(message)

        await self._generate(session, fields, emit, models)
        pictures: dict[int, str] = {}
        for message in outputs:
            if "error" in message:
                return message
            if "image" in message:
                pictures[int(message["batch_index"])] = message["image"]
            for index in message.get("discard_indices", []):
                pictures.pop(index, None)
        return {"images": list(pictures.values())}

    async def over_socket(
        self,
        socket: web.WebSocketResponse,
        session: str,
        fields: Fields,
        status: Callable[[], Fields],
        models: SwarmModels,
    ) -> None:
        if "images" not in fields:
            await socket.send_json({"error": "Missing required parameter 'images'"})
            return
        sent = 0

        async def emit(message: Fields) -> None:
            nonlocal sent
            if socket.closed:
                return
            try:
                await socket.send_json(message)
            except ConnectionError:
                return
            sent += "image" in message
            if self.drop_after_images is not None and sent >= self.drop_after_images:
                self.drop_after_images = None
                assert socket._req is not None
                assert socket._req.transport is not None
                socket._req.transport.abort()

        await emit(status())
        # The source waits for more requests on the same socket; it reads on, and so hears pings and farewells.
        reading = asyncio.ensure_future(_read_on(socket))
        await self._generate(session, fields, emit, models)
        await emit({"socket_intention": "close"})
        if not socket.closed:
            await asyncio.wait({reading}, timeout=2.0)
            await emit(status())
        reading.cancel()

    async def view(self, request: web.Request) -> web.StreamResponse:
        path = unquote(request.rel_url.raw_path).lstrip("/")
        self.views.append(path)
        fault = self.view_faults.pop(0) if self.view_faults else ""
        errors = {
            "missing": (404, "file_not_found", "404, file not found."),
            "bad_path": (400, "bad_path", "Bad path."),
            "unauthorized": (400, "unauthorized", "unauthorized - you may not view other users' outputs"),
            "file_error": (500, "file_error", "Error reading file."),
        }
        if fault == "redirect":
            raise web.HTTPFound("/Error/404")
        if fault in errors or path not in self.output:
            status, error_id, text = errors.get(fault, errors["missing"])
            return web.json_response({"error": text, "error_id": error_id}, status=status)
        content = b"" if fault == "empty" else self.output[path]
        response = web.StreamResponse(headers={"Content-Type": "image/png"})
        response.content_length = len(content)
        await response.prepare(request)
        if fault == "cut":
            await response.write(content[: len(content) // 2])
            assert request.transport is not None
            request.transport.close()
            return response
        for at in range(0, len(content), 1 << 20):
            await response.write(content[at : at + (1 << 20)])
        return response

    async def _generate(self, session: str, fields: Fields, emit: Emit, models: SwarmModels) -> None:
        asked = {_plain(name): value for name, value in fields.items()}
        asked = {name: value for name, value in asked.items() if name in self.parameters}
        if (refused := _refusal(asked, models)) is not None:
            await emit({"error": refused})
            return
        if self.failure is not None or "please fail" in str(asked.get("prompt")):
            await emit({"error": self.failure or "ComfyUI execution error: the colour is out of stock"})
            return
        stop = self._interrupts.setdefault(session, asyncio.Event())
        self.live += 1
        try:
            await self._draw_all(asked, emit, stop)
        except Interrupted:
            await emit({"error": "Generation session interrupted."})
        finally:
            self.live -= 1

    async def _draw_all(self, asked: Fields, emit: Emit, stop: asyncio.Event) -> None:
        count, batch = int(asked["images"]), int(asked.get("batchsize", 1))
        steps = int(asked.get("steps", 4))
        for number in range(count):
            for step in range(1, steps + 1):
                if self.step_s:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(stop.wait(), self.step_s)
                if stop.is_set():
                    raise Interrupted
                progress = {
                    "batch_index": str(number * batch),
                    "request_id": "r1",
                    "overall_percent": step / (steps + 1),
                    "current_percent": step / steps,
                    "preview": "data:image/jpeg;base64,AAAA",
                }
                await emit({"gen_progress": progress})
                if self.freeze_s:
                    frozen_s, self.freeze_s = self.freeze_s, 0.0
                    time.sleep(frozen_s)  # noqa: ASYNC251 - not even pings are answered
            for place in range(batch):
                seed = int(asked.get("seed", -1)) + (
                    0 if asked.get("noseedincrement") in {True, "true"} else number * batch
                )
                self.drawn.append(seed)
                await emit(self._picture(asked, number * batch + place, seed, place))
            await emit({"keep_alive": True})
        if self.grid and count * batch > 1:
            await emit(self._picture(asked, -1, 0, 0))
        await emit({"discard_indices": list(self.discards)})

    def _picture(self, asked: Fields, index: int, seed: int, place: int) -> Fields:
        content = self.content or _draw(asked, seed + 1000 * place)
        if str(asked.get("donotsave", False)).lower() == "true":
            address = f"data:image/png;base64,{base64.b64encode(content).decode()}"
        else:
            address = f"View/local/raw/2026-01-01/{len(self.output):04d}-a b ä#{index}.png"
            self.output[address] = content
        metadata = {"sui_image_params": {"seed": seed, "prompt": asked.get("prompt")}}
        return {
            "image": address,
            "batch_index": str(index),
            "request_id": "r1",
            "metadata": json.dumps(metadata),
        }


async def _read_on(socket: web.WebSocketResponse) -> None:
    async for _ in socket:
        pass


def _refusal(asked: Fields, models: SwarmModels) -> str | None:
    """What the source refuses before it generates."""
    if "model" not in asked:
        return "No model input given. Did your UI load properly?"
    if models.best("Stable-Diffusion", str(asked["model"])) is None:
        return f"Invalid model value for param Model - '{asked['model']}' - are you sure that model name is correct?"
    loras = asked.get("loras", [])
    for lora in loras if isinstance(loras, list) else str(loras).split(","):
        if models.best("LoRA", lora) is None:
            return f"Invalid value for param LoRAs - '{lora}' - option does not exist. Has it been deleted?"
    for name in ("initimage", "maskimage"):
        if name in asked and not str(asked[name]).startswith("data:image/"):
            return f"Invalid IMAGE value for param {name}"
    for image in asked.get("promptimages", []):
        if not str(image).startswith("data:image/"):
            return "Invalid image-list value for param Prompt Images"
    return None


def _draw(asked: Fields, seed: int) -> bytes:
    size = (int(asked.get("width", 16)), int(asked.get("height", 16)))
    weight = sum(float(weight) for weight in asked.get("loraweights", []))
    colour = (seed & 255, seed >> 8 & 255, int(weight * 100) & 255)
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if "a" <= letter <= "z")
