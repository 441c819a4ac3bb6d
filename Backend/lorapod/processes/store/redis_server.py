"""A Redis server for the stores, and the one place where the client's errors become `OSError`s."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr
from redis import Redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.commands.core import Script
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    ClusterCrossSlotError,
    ClusterDownError,
    MovedError,
    RedisError,
)
from redis.exceptions import (
    ConnectionError as RedisConnectionError,
)
from redis.exceptions import (
    TimeoutError as RedisTimeoutError,
)
from redis.retry import Retry

from lorapod.processes.store.port import StateStoreRefused, StateStoreUnavailable

SCHEMES = ("redis", "rediss")

#: A connection that was idle for so many seconds is tested before it is used.
HEALTH_CHECK_S = 30

#: Number of characters of an error's text that are kept.
_REASON_LENGTH = 200


class RedisServer:
    """One server, or one database of it; safe for any thread, and every method blocks for a limited time.

    Methods raise:
        StateStoreUnavailable: the server does not answer.
        StateStoreRefused: it answers, with an error.
    """

    def __init__(self, url: SecretStr, *, prefix: str, timeout_s: float, retries: int) -> None:
        """Send nothing before the first command.

        Args:
            url: `redis://` or `rediss://`, with name and password if the server wants them.
            prefix: what every key begins with.
            timeout_s: how long to wait for a connection, and for an answer.
            retries: how often to try again if a connection is refused or lost, but not if no answer comes: the caller
                has waited long enough. A command may be carried out twice, and late: a server that stood still then reads
                what is left in its buffers.

        Raises:
            ValueError: the URL is not one; the message does not repeat it.
        """
        self._prefix = prefix
        try:
            parts = urlsplit(url.get_secret_value())
            #: Host and port for messages, without name and password.
            self.address = f"{parts.hostname}:{parts.port or 6379}"
            if parts.scheme not in SCHEMES or not parts.hostname:
                raise ValueError
            self._client = Redis.from_url(
                url.get_secret_value(),
                # Every server and every compatible one speaks version 2, and it saves a round trip.
                protocol=2,
                socket_timeout=timeout_s,
                socket_connect_timeout=timeout_s,
                health_check_interval=HEALTH_CHECK_S,
                retry=Retry(
                    ExponentialWithJitterBackoff(base=timeout_s / 20, cap=timeout_s / 4),
                    retries,
                    supported_errors=(RedisConnectionError,),
                ),
            )
        except ValueError:
            # The parts of a URL that cannot be read may be parts of its password.
            raise ValueError(
                "STATE_URL must be redis://[name:password@]host[:port][/database], or rediss:// for TLS; "
                "special characters of the password must be percent-encoded."
            ) from None

    def key(self, *parts: str) -> str:
        """Return the name of a key."""
        return self._prefix + ":".join(parts)

    def call(self, *command: str | bytes | int) -> Any:
        """Send one command, which may be sent twice; return the answer."""
        with self._translated():
            return self._client.execute_command(*command)  # type: ignore[no-untyped-call] # has no types

    def script(self, source: str) -> Script:
        """Return a Lua script for `run`; it is sent to a server that does not know it."""
        return self._client.register_script(source)

    def run(self, script: Script, keys: Sequence[str], arguments: Sequence[str | bytes | int]) -> Any:
        """Run a script as a whole or not at all; it may be sent twice. Return its answer."""
        with self._translated():
            return script(keys=keys, args=arguments)

    def close(self) -> None:
        """Close every connection that is not in use."""
        self._client.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (AuthenticationError, AuthorizationError) as error:
            raise StateStoreRefused(
                f"Redis at {self.address} refuses the name or password in STATE_URL: {_reason(error)}"
            ) from None
        except (ClusterCrossSlotError, ClusterDownError, MovedError) as error:
            raise StateStoreRefused(
                f"Redis at {self.address} is a cluster: name a single server in STATE_URL, or keep every key on one node "
                f"with STATE_PREFIX={{lorapod}}: and name that node. It says: {_reason(error)}"
            ) from None
        except (RedisConnectionError, RedisTimeoutError, OSError) as error:
            raise StateStoreUnavailable(
                f"Redis at {self.address} does not answer: {_reason(error)}"
            ) from None
        except RedisError as error:
            raise StateStoreRefused(f"Redis at {self.address} refuses: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    return str(error)[:_REASON_LENGTH] or type(error).__name__
