"""A Redis server as the stores see it, and the one place where the client's errors become `OSError`s."""

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

#: A connection that was quiet for so many seconds is tried before it is used.
HEALTH_CHECK_S = 30

#: Of an error's text, how much is kept.
_REASON_LENGTH = 200


class RedisServer:
    """One server, or one database of it; safe for any thread, and every method blocks for a known time at most.

    Methods raise:
        StateStoreUnavailable: the server does not answer.
        StateStoreRefused: it answers, with an error.
    """

    def __init__(self, url: SecretStr, *, prefix: str, timeout_s: float, retries: int) -> None:
        """Nothing is sent before the first command.

        Args:
            url: `redis://` or `rediss://`, with name and password where the server wants them.
            prefix: what every key begins with.
            timeout_s: how long to wait for a connection, and for an answer.
            retries: how often to try again where a connection is refused or lost, but not where an answer does not
                come: who waits has waited enough. What is sent may be carried out twice, and late: a server that stood
                still reads on what lies in its buffers.

        Raises:
            ValueError: the URL is not one; the message does not repeat it.
        """
        self._prefix = prefix
        try:
            parts = urlsplit(url.get_secret_value())
            #: Where the server is, for messages: without name and password.
            self.address = f"{parts.hostname}:{parts.port or 6379}"
            if parts.scheme not in SCHEMES or not parts.hostname:
                raise ValueError
            self._client = Redis.from_url(
                url.get_secret_value(),
                # Version 2 is what every server and every imitation of one speaks, and saves a round trip.
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
        """The name of a key."""
        return self._prefix + ":".join(parts)

    def call(self, *command: str | bytes | int) -> Any:
        """The server's answer to one command that may be sent twice."""
        with self._translated():
            return self._client.execute_command(*command)  # type: ignore[no-untyped-call] # has no types

    def script(self, source: str) -> Script:
        """A Lua script to pass to `run`; it is sent to the server when that does not know it."""
        return self._client.register_script(source)

    def run(self, script: Script, keys: Sequence[str], arguments: Sequence[str | bytes | int]) -> Any:
        """The answer of a script, which is carried out whole or not at all; it may be sent twice."""
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
        except (RedisConnectionError, RedisTimeoutError, OSError) as error:
            raise StateStoreUnavailable(
                f"Redis at {self.address} does not answer: {_reason(error)}"
            ) from None
        except RedisError as error:
            raise StateStoreRefused(f"Redis at {self.address} refuses: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    return str(error)[:_REASON_LENGTH] or type(error).__name__
