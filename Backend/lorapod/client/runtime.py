"""What the client's code needs of the program around it, so that one code serves programs with and without an event loop.

The calls of the client are coroutines over a `Runtime`. `AsyncioRuntime` awaits; `BlockingRuntime` blocks wherever it
would wait, so its coroutines never suspend and `finish` runs them like functions, in the thread of the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Protocol, TypeVar, cast

from lorapod.client.errors import LocalFileError, LorapodError
from lorapod.client.http import HttpAnswer

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class WorkAhead(Protocol[T_co]):
    """Work that goes on while its caller does something else."""

    async def result(self) -> T_co:
        """Wait for its end; return its result, or raise its error."""

    async def drop(self) -> None:
        """Have it end, because no one needs its result."""


class Runtime(Protocol):
    """Sends requests, waits, and works with files."""

    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None, wait_s: float
    ) -> HttpAnswer:
        """Return the answer to a request, whatever its status; see `HttpSender`.

        Raises:
            ConnectFailed: there is no connection.
            ConnectionBroken: the connection ended before the answer did.
            ClientClosed: the client was closed.
        """

    async def sleep(self, seconds: float) -> None:
        """Wait.

        Raises:
            ClientClosed: the client was closed meanwhile.
        """

    async def with_files(self, work: Callable[[], T]) -> T:
        """Return what `work` returns, which may block for the time that a disk needs.

        Raises:
            LocalFileError: the system refused something.
        """

    def ahead(self, work: Callable[[], Coroutine[Any, Any, T]]) -> WorkAhead[T]:
        """Begin work whose result is needed later."""

    async def close(self) -> None:
        """Close the connections; what waits then ends with `ClientClosed`."""


def finish(work: Coroutine[Any, Any, T]) -> T:
    """Run calls over a `BlockingRuntime`; return their result."""
    try:
        work.send(None)
    except StopIteration as ended:
        return cast("T", ended.value)
    work.close()
    raise AssertionError("a coroutine over a blocking runtime never suspends")


def with_local_files(work: Callable[[], T]) -> T:
    """Return what `work` returns.

    Raises:
        LocalFileError: the system refused something.
    """
    try:
        return work()
    except LorapodError:
        raise
    except OSError as error:
        raise LocalFileError.of(error) from error
