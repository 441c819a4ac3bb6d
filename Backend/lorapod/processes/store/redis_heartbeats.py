"""Heartbeats in Redis, one for each worker that holds processes."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from pydantic import TypeAdapter

from lorapod.processes.store.port import Heartbeat
from lorapod.processes.store.redis_server import RedisServer

logger = logging.getLogger(__name__)

#: How long a heartbeat stays that nobody forgot. Nothing is read from its absence but what its standing still says
#: too; this only clears what dead workers leave.
KEPT_S = 24 * 3600

_ADAPTER = TypeAdapter(Heartbeat)


class RedisHeartbeats:
    """A `HeartbeatStore` on a Redis server."""

    def __init__(self, server: RedisServer) -> None:
        """Keep heartbeats on `server`."""
        self._server = server

    def write(self, holder: str, beat: Heartbeat) -> None:
        """Replace the worker's heartbeat."""
        self._server.call("SET", self._key(holder), _ADAPTER.dump_json(beat), "EX", KEPT_S)

    def read(self, holder: str) -> Heartbeat | None:
        """The worker's last heartbeat."""
        data = self._server.call("GET", self._key(holder))
        try:
            return None if data is None else _ADAPTER.validate_json(data)
        except ValueError as error:
            logger.warning("heartbeat cannot be read", extra={"holder": holder, "reason": str(error)})
            return None

    def forget(self, holder: str) -> None:
        """Remove a worker's heartbeat."""
        self._server.call("DEL", self._key(holder))

    def holders(self) -> Sequence[str]:
        """None: what nobody forgot expires."""
        return ()

    def _key(self, holder: str) -> str:
        return self._server.key("heartbeat", holder)
