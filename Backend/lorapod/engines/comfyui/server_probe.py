"""Short blocking questions to a ComfyUI server: is it there, what is it, and will it free its GPU memory."""

from __future__ import annotations

import http.client
import ipaddress
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from yarl import URL

#: GPU memory, in bytes, that a server may keep after unloading everything: torch frees memory in blocks.
LEFT_BYTES_MAX = 256_000_000
#: How long a release may take, and each answer within it.
RELEASE_S = 15.0
ANSWER_S = 3.0
_AGAIN_S = 0.05


def is_local(url: str) -> bool:
    """Return whether a URL is this machine's own."""
    host = URL(url).host or ""
    try:
        return ipaddress.ip_address(host).is_loopback or ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return host == "localhost"


def connection_to(url: str, timeout_s: float) -> http.client.HTTPConnection:
    """Return a connection to the server, not opened yet."""
    address = URL(url)
    kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
    return kind(address.host or "", address.port, timeout=timeout_s)


@dataclass(frozen=True, kw_only=True)
class ServerView:
    """The result of one probe of the server's URL."""

    #: Something listens there.
    listens: bool
    #: Its `system_stats`; None if it did not answer in time, or is another program.
    stats: Mapping[str, Any] | None = None
    #: Another program listens there.
    foreign: bool = False


def look_at(url: str, timeout_s: float) -> ServerView:
    """Ask the server at `url` for its `system_stats`."""
    connection = connection_to(url, timeout_s)
    try:
        connection.connect()
    except OSError:
        return ServerView(listens=False)
    try:
        connection.request("GET", (URL(url) / "system_stats").path)
        response = connection.getresponse()
        stats = json.loads(response.read(1_000_000)) if response.status == HTTPStatus.OK else None
    except TimeoutError:
        return ServerView(listens=True)
    except (OSError, ValueError, http.client.HTTPException):
        # It may have closed the connection because it is just ending.
        return ServerView(listens=True, foreign=_still_listens(url, timeout_s))
    finally:
        connection.close()
    if isinstance(stats, Mapping) and isinstance(stats.get("system"), Mapping):
        return ServerView(listens=True, stats=stats)
    return ServerView(listens=True, foreign=True)


def _still_listens(url: str, timeout_s: float) -> bool:
    connection = connection_to(url, timeout_s)
    try:
        connection.connect()
    except OSError:
        return False
    connection.close()
    return True


def free_memory(url: str) -> bool:
    """Have the server at `url` unload its models; return whether it did, or does not run."""
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
    """Return the GPU memory that the server's torch holds, by its `system_stats`; a processor counts as 0."""
    return sum(int(gpu.get("torch_vram_total") or 0) for gpu in _gpus(stats))


def has_gpu(stats: Mapping[str, Any]) -> bool:
    """Return whether the server works on anything but the processor, by its `system_stats`."""
    return bool(_gpus(stats))


def _gpus(stats: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    devices = stats.get("devices")
    return [
        device
        for device in (devices if isinstance(devices, list) else ())
        if isinstance(device, Mapping) and device.get("type") != "cpu"
    ]


def _ask(url: str) -> bool:
    """Send the request; the server carries it out when it is idle."""
    connection = connection_to(url, ANSWER_S)
    try:
        body = json.dumps({"unload_models": True, "free_memory": True})
        connection.request("POST", (URL(url) / "free").path, body, {"Content-Type": "application/json"})
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
