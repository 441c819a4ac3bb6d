"""State in Redis, for workers that share no volume.

```
<prefix>record:<process_id>             a hash: the record, its generation, and when that was last written
<prefix>order:<process_id>              the order of the process
<prefix>ids                             every process id, sorted by age
<prefix>live                            the ids of processes that have not ended
<prefix>key:<sha256 of the key>         the process that an idempotency key stands for
<prefix>heartbeat:<holder>              the heartbeat of a worker that holds processes
<prefix>mailbox:<process_id>            messages for the worker that holds the process
<prefix>mailbox:<process_id>:<taker>    what a worker has been handed and not yet confirmed
```

Every exclusive step is one script, which the server carries out whole. A script may come twice, when its answer was
lost, and late, when the server stood still: each is written so that this changes nothing.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Sequence

from pydantic import SecretStr, TypeAdapter

from lorapod.clock import Clock
from lorapod.lease import LeaseLost
from lorapod.processes.store.port import (
    Heartbeat,
    RecordExists,
    StateStore,
    StateStoreRefused,
    StateStoreUnavailable,
)
from lorapod.processes.store.redis_mailbox import RedisMailbox
from lorapod.processes.store.redis_server import RedisServer
from lorapod.records import stored_record as records
from lorapod.records.process_id import age_key
from lorapod.records.record import ProcessRecord

logger = logging.getLogger(__name__)

#: Shortest wait for an answer, in seconds.
MIN_TIMEOUT_S = 0.25


def open_redis_store(url: SecretStr, *, prefix: str, beat_s: float, clock: Clock) -> StateStore:
    """Open the state in a Redis server; a server that does not answer now may do so later.

    Args:
        url: where it is.
        prefix: what every key begins with; workers with the same share their state.
        beat_s: seconds between two heartbeats; no answer is awaited for longer.
        clock: the time.

    Raises:
        ValueError: the URL is not one.
        StateStoreRefused: the server does not take this worker's name and password, or is a cluster.
    """
    timeout_s = max(MIN_TIMEOUT_S, beat_s / 2)
    server = RedisServer(url, prefix=prefix, timeout_s=timeout_s, retries=1)
    try:
        server.call("PING")
        # A cluster would refuse the first script that writes a record.
        server.run(server.script("return 1"), [server.key("one"), server.key("two")], [])
    except StateStoreRefused:
        raise
    except StateStoreUnavailable as error:
        logger.warning("state store does not answer yet", extra={"reason": str(error)})
    return StateStore(
        records=RedisRecords(server, clock),
        orders=RedisOrders(server),
        # The next heartbeat is the retry.
        heartbeats=RedisHeartbeats(RedisServer(url, prefix=prefix, timeout_s=timeout_s, retries=0)),
        mailbox=RedisMailbox(server),
    )


# KEYS: record, ids, live. ARGV: process id, its age, 1 if it lives, generation, time of writing, data.
_WRITE = """
redis.call('HSET', KEYS[1], 'generation', ARGV[4], 'written', ARGV[5], 'data', ARGV[6])
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
redis.call(ARGV[3] == '1' and 'SADD' or 'SREM', KEYS[3], ARGV[1])
return 1
"""

# ARGV also has a number that only this call has: a repeated call finds that it began the generation itself.
_CREATE = f"""
local present = redis.call('HMGET', KEYS[1], 'generation', 'begun_by')
if present[2] == ARGV[7] then return 1 end
if present[1] and tonumber(present[1]) >= tonumber(ARGV[4]) then return 0 end
if not present[1] and tonumber(ARGV[4]) > 1 then return 0 end
redis.call('HSET', KEYS[1], 'begun_by', ARGV[7])
{_WRITE}"""

# A save that comes late must not undo a later one.
_SAVE = f"""
local present = redis.call('HMGET', KEYS[1], 'generation', 'written')
if present[1] and tonumber(present[1]) > tonumber(ARGV[4]) then return 0 end
if present[1] == ARGV[4] and tonumber(present[2]) > tonumber(ARGV[5]) then return 1 end
{_WRITE}"""


# KEYS: record, ids, live, order, mailbox, the key that the process was found by. ARGV: process id, generation.
_FORGET = """
local present = redis.call('HGET', KEYS[1], 'generation')
if present and tonumber(present) > tonumber(ARGV[2]) then return 0 end
redis.call('DEL', KEYS[1], KEYS[4], KEYS[5])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('SREM', KEYS[3], ARGV[1])
if redis.call('GET', KEYS[6]) == ARGV[1] then redis.call('DEL', KEYS[6]) end
return 1
"""


class RedisRecords:
    """A `RecordStore` on a Redis server."""

    def __init__(self, server: RedisServer, clock: Clock) -> None:
        """Keep records on `server`."""
        self._server = server
        self._clock = clock
        self._create, self._save = server.script(_CREATE), server.script(_SAVE)
        self._forget = server.script(_FORGET)
        self._ids, self._live = server.key("ids"), server.key("live")

    def create(self, record: ProcessRecord) -> None:
        """Begin a generation.

        Raises:
            RecordExists: another worker was first, or has deleted the process.
        """
        if not self._server.run(
            self._create, self._keys(record), [*self._values(record), secrets.token_hex(8)]
        ):
            raise RecordExists(record.process_id)

    def save(self, record: ProcessRecord) -> None:
        """Replace the record; if the server has lost it, write it again.

        Raises:
            LeaseLost: a newer generation has begun.
        """
        if not self._server.run(self._save, self._keys(record), self._values(record)):
            raise LeaseLost(record.process_id)

    def load(self, process_id: str) -> ProcessRecord | None:
        """Return the record as last saved."""
        data = self._server.call("HGET", self._key(process_id), "data")
        try:
            return None if data is None else records.load(data)
        except ValueError as error:
            logger.warning("record cannot be read", extra={"process_id": process_id, "reason": str(error)})
            return None

    def ids(self) -> Sequence[str]:
        """Return every id, newest first."""
        return [name.decode() for name in self._server.call("ZREVRANGE", self._ids, 0, -1)]

    def live_ids(self) -> Sequence[str]:
        """Return the ids of processes that have not ended, newest first."""
        names = [name.decode() for name in self._server.call("SMEMBERS", self._live)]
        return sorted(names, key=age_key, reverse=True)

    def forget(self, record: ProcessRecord) -> None:
        """Remove all keys of the process.

        Raises:
            LeaseLost: a newer generation has begun.
        """
        names = [self._server.key(kind, record.process_id) for kind in ("order", "mailbox")]
        keys = [*self._keys(record), *names, self._claim(record.key or "")]
        if not self._server.run(self._forget, keys, [record.process_id, record.generation]):
            raise LeaseLost(record.process_id)

    def claim_key(self, key: str, process_id: str) -> str:
        """Bind the key to the process unless it is bound; return the process that it is bound to."""
        claimed = self._claim(key)
        self._server.call("SET", claimed, process_id, "NX")
        owner: bytes = self._server.call("GET", claimed)
        return owner.decode()

    def _claim(self, key: str) -> str:
        return self._server.key("key", hashlib.sha256(key.encode()).hexdigest())

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
        """Write the order of a process."""
        self._server.call("SET", self._server.key("order", process_id), order)

    def read(self, process_id: str) -> bytes | None:
        """Return the order of a process, or None."""
        order: bytes | None = self._server.call("GET", self._server.key("order", process_id))
        return order


#: How long an unchanged heartbeat is kept, in seconds: this only removes what dead workers have left. A missing heartbeat
#: means the same as one that stands still.
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
        """Return the worker's last heartbeat."""
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
        """Return none: the heartbeats of dead workers expire by themselves."""
        return ()

    def _key(self, holder: str) -> str:
        return self._server.key("heartbeat", holder)
