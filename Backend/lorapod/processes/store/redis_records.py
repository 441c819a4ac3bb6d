"""Records and orders in Redis."""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Sequence

from lorapod.clock import Clock
from lorapod.lease import LeaseLost
from lorapod.processes import record as records
from lorapod.processes.record import ProcessRecord, age_key
from lorapod.processes.store.port import RecordExists
from lorapod.processes.store.redis_server import RedisServer

logger = logging.getLogger(__name__)

# KEYS: record, ids, live. ARGV: process id, its age, 1 if it lives, generation, time of writing, data.
_WRITE = """
redis.call('HSET', KEYS[1], 'generation', ARGV[4], 'written', ARGV[5], 'data', ARGV[6])
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
redis.call(ARGV[3] == '1' and 'SADD' or 'SREM', KEYS[3], ARGV[1])
return 1
"""

# And a number that only this call has: when it comes again, it finds that it was itself that began the generation.
_CREATE = f"""
local present = redis.call('HMGET', KEYS[1], 'generation', 'begun_by')
if present[2] == ARGV[7] then return 1 end
if present[1] and tonumber(present[1]) >= tonumber(ARGV[4]) then return 0 end
redis.call('HSET', KEYS[1], 'begun_by', ARGV[7])
{_WRITE}"""

# A save that comes late must not undo a later one.
_SAVE = f"""
local present = redis.call('HMGET', KEYS[1], 'generation', 'written')
if present[1] and tonumber(present[1]) > tonumber(ARGV[4]) then return 0 end
if present[1] == ARGV[4] and tonumber(present[2]) > tonumber(ARGV[5]) then return 1 end
{_WRITE}"""


class RedisRecords:
    """A `RecordStore` on a Redis server."""

    def __init__(self, server: RedisServer, clock: Clock) -> None:
        """Keep records on `server`."""
        self._server = server
        self._clock = clock
        self._create, self._save = server.script(_CREATE), server.script(_SAVE)
        self._ids, self._live = server.key("ids"), server.key("live")

    def create(self, record: ProcessRecord) -> None:
        """Begin a generation.

        Raises:
            RecordExists: somebody else was first.
        """
        if not self._server.run(
            self._create, self._keys(record), [*self._values(record), secrets.token_hex(8)]
        ):
            raise RecordExists(record.process_id)

    def save(self, record: ProcessRecord) -> None:
        """Replace the record; should the server have lost it, it is there again.

        Raises:
            LeaseLost: a newer generation has begun.
        """
        if not self._server.run(self._save, self._keys(record), self._values(record)):
            raise LeaseLost(record.process_id)

    def load(self, process_id: str) -> ProcessRecord | None:
        """The record as last saved."""
        data = self._server.call("HGET", self._key(process_id), "data")
        try:
            return None if data is None else records.load(data)
        except ValueError as error:
            logger.warning("record cannot be read", extra={"process_id": process_id, "reason": str(error)})
            return None

    def ids(self) -> Sequence[str]:
        """Every id, newest first."""
        return [name.decode() for name in self._server.call("ZREVRANGE", self._ids, 0, -1)]

    def live_ids(self) -> Sequence[str]:
        """The ids of processes that have not ended, newest first."""
        names = [name.decode() for name in self._server.call("SMEMBERS", self._live)]
        return sorted(names, key=age_key, reverse=True)

    def claim_key(self, key: str, process_id: str) -> str:
        """Bind the key to the process, unless it is bound."""
        claimed = self._server.key("key", hashlib.sha256(key.encode()).hexdigest())
        self._server.call("SET", claimed, process_id, "NX")
        owner: bytes = self._server.call("GET", claimed)
        return owner.decode()

    def _key(self, process_id: str) -> str:
        return self._server.key("record", process_id)

    def _keys(self, record: ProcessRecord) -> Sequence[str]:
        return [self._key(record.process_id), self._ids, self._live]

    def _values(self, record: ProcessRecord) -> Sequence[str | bytes | int]:
        # A generation has one writer, so its own clock puts its writes in order; whole microseconds, since the
        # server's numbers are exact up to 2^53 only.
        written = int(self._clock.monotonic() * 1_000_000)
        age, lives = int(age_key(record.process_id), 16), int(not record.status.final)
        return [record.process_id, age, lives, record.generation, written, records.dump(record)]


class RedisOrders:
    """An `OrderStore` on a Redis server."""

    def __init__(self, server: RedisServer) -> None:
        """Keep orders on `server`."""
        self._server = server

    def keep(self, process_id: str, order: bytes) -> None:
        """Keep what the process is asked to be."""
        self._server.call("SET", self._server.key("order", process_id), order)

    def read(self, process_id: str) -> bytes | None:
        """What it was asked to be."""
        order: bytes | None = self._server.call("GET", self._server.key("order", process_id))
        return order
