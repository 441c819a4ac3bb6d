"""One look at the server's address, from any thread: what is there, told slow from dead."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from yarl import URL

from lorapod.engines.comfyui.address import connection_to


@dataclass(frozen=True, kw_only=True)
class ServerView:
    """What one look at the server's address showed."""

    #: Something listens there.
    listens: bool
    #: Its `system_stats`; None where it did not answer them in time, or is something else.
    stats: Mapping[str, Any] | None = None
    #: What listens there is not ComfyUI.
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
