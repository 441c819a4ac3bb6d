"""Having a server give the GPU's memory up."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from yarl import URL

from lorapod.engines.comfyui.address import connection_to
from lorapod.engines.comfyui.look import look_at

#: What a server that has unloaded everything may still hold, in bytes: torch gives memory back in blocks.
LEFT_BYTES_MAX = 256_000_000
#: How long a release may take, and each answer within it.
RELEASE_S = 15.0
ANSWER_S = 3.0
_AGAIN_S = 0.05


def free_memory(url: str) -> bool:
    """Have the server at `url` unload its models; whether it has, or is not there at all."""
    until_s = time.monotonic() + RELEASE_S
    if not look_at(url, ANSWER_S).listens:
        return True
    if not _ask(url):
        return False
    while time.monotonic() < until_s:
        view = look_at(url, ANSWER_S)
        if not view.listens:
            return True
        if view.stats is not None and held_bytes(view.stats) <= LEFT_BYTES_MAX:
            return True
        time.sleep(_AGAIN_S)
    return False


def held_bytes(stats: Mapping[str, Any]) -> int:
    """The GPU memory that the server's torch holds, by its `system_stats`; a processor's counts for nothing."""
    devices = stats.get("devices")
    return sum(
        int(device.get("torch_vram_total") or 0)
        for device in (devices if isinstance(devices, list) else ())
        if isinstance(device, Mapping) and device.get("type") != "cpu"
    )


def _ask(url: str) -> bool:
    """Ask it to; it does so when it has nothing else to do."""
    connection = connection_to(url, ANSWER_S)
    try:
        body = json.dumps({"unload_models": True, "free_memory": True})
        connection.request("POST", (URL(url) / "free").path, body, {"Content-Type": "application/json"})
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
