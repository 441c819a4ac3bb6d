from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.servers.redis_server import RunningRedis

from lorapod.clock import SystemClock
from lorapod.processes.store.file import open_file_store
from lorapod.processes.store.port import StateStore
from lorapod.processes.store.redis import open_redis_store
from lorapod.testing.store import open_memory_store

OpenState = Callable[[], StateStore]


@pytest.fixture(params=["memory", "file", "redis"])
def open_state(request: pytest.FixtureRequest, tmp_path: Path) -> OpenState:
    """Opens the same state again and again, as several workers do."""
    if request.param == "memory":
        store = open_memory_store()
        return lambda: store
    if request.param == "file":
        return lambda: open_file_store(tmp_path, SystemClock())
    server: RunningRedis = request.getfixturevalue("redis_server")
    prefix = f"{secrets.token_hex(4)}:"
    return lambda: open_redis_store(server.url, prefix=prefix, beat_s=10, clock=SystemClock())
