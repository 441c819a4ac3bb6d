"""State in Redis, for workers that share no volume.

```
<prefix>record:<process_id>             a hash: the record, its generation, and when that was last written
<prefix>order:<process_id>              what the process was asked to be
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

import logging

from pydantic import SecretStr

from lorapod.clock import Clock
from lorapod.processes.store.port import StateStore, StateStoreRefused, StateStoreUnavailable
from lorapod.processes.store.redis_heartbeats import RedisHeartbeats
from lorapod.processes.store.redis_mailbox import RedisMailbox
from lorapod.processes.store.redis_records import RedisOrders, RedisRecords
from lorapod.processes.store.redis_server import RedisServer

logger = logging.getLogger(__name__)

#: Shortest wait for an answer, in seconds.
MIN_TIMEOUT_S = 0.25


def open_redis_store(url: SecretStr, *, prefix: str, beat_s: float, clock: Clock) -> StateStore:
    """The state in a Redis server; one that does not answer now may do so later.

    Args:
        url: where it is.
        prefix: what every key begins with; workers with the same share their state.
        beat_s: seconds between two heartbeats, for which no answer is waited longer.
        clock: the time.

    Raises:
        ValueError: the URL is not one.
        StateStoreRefused: the server does not take this worker's name and password.
    """
    timeout_s = max(MIN_TIMEOUT_S, beat_s / 2)
    server = RedisServer(url, prefix=prefix, timeout_s=timeout_s, retries=1)
    try:
        server.call("PING")
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
