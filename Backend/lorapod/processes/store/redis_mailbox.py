"""Messages about processes on a Redis server: each is handed to one worker, once."""

from __future__ import annotations

import json
import logging
import secrets
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from lorapod.processes.store.redis_server import RedisServer

logger = logging.getLogger(__name__)

#: How long a message is kept, in seconds, that was handed to a worker which never confirmed it.
UNCONFIRMED_S = 24 * 3600

_POST = """
for _, letter in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do
    if letter == ARGV[1] then return end
end
redis.call('RPUSH', KEYS[1], ARGV[1])
"""

_TAKE = """
for index = 2, #ARGV do
    redis.call('LREM', KEYS[2], 1, ARGV[index])
end
local letters = redis.call('LRANGE', KEYS[1], 0, -1)
for _, letter in ipairs(letters) do
    redis.call('RPUSH', KEYS[2], letter)
end
if #letters > 0 then
    redis.call('DEL', KEYS[1])
    redis.call('EXPIRE', KEYS[2], ARGV[1])
end
return redis.call('LRANGE', KEYS[2], 0, -1)
"""


class RedisMailbox:
    """A `Mailbox` on a Redis server: a list for each process that has messages.

    A message that is taken moves to a list of the taker's own, and is removed when the taker's next call confirms it: so an
    answer that is lost on its way loses no message.
    """

    def __init__(self, server: RedisServer) -> None:
        """Leave messages on `server`."""
        self._server = server
        self._post, self._take = server.script(_POST), server.script(_TAKE)
        self._taker = secrets.token_hex(8)
        #: By process: the messages of the last answer, which the next call confirms.
        self._unconfirmed: dict[str, Sequence[bytes]] = {}
        self._lock = threading.Lock()

    def post(self, process_id: str, message: Mapping[str, Any]) -> None:
        """Leave a message."""
        letter = json.dumps({"id": secrets.token_hex(8), "message": dict(message)})
        self._server.run(self._post, [self._server.key("mailbox", process_id)], [letter])

    def take(self, process_id: str) -> Sequence[Mapping[str, Any]]:
        """Return every message, in the order in which they came; skip what cannot be read."""
        box = self._server.key("mailbox", process_id)
        with self._lock:
            letters: Sequence[bytes] = self._server.run(
                self._take,
                [box, f"{box}:{self._taker}"],
                [UNCONFIRMED_S, *self._unconfirmed.get(process_id, ())],
            )
            self._unconfirmed.pop(process_id, None)
            if letters:
                self._unconfirmed[process_id] = letters
        return [message for letter in letters if (message := _opened(letter, process_id)) is not None]


def _opened(letter: bytes, process_id: str) -> Mapping[str, Any] | None:
    try:
        message = json.loads(letter)["message"]
        if isinstance(message, dict):
            return message
    except (ValueError, TypeError, KeyError):
        pass
    logger.warning("message cannot be read", extra={"process_id": process_id})
    return None
