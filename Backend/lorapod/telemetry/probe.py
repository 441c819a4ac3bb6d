"""Reading what may hang: one thread at a time, and the last value if it does not answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Generic, TypeVar

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, kw_only=True)
class Reading(Generic[T_co]):
    """What a probe read."""

    #: None if it has never answered.
    value: T_co | None
    #: Seconds since it was read: 0 if it was read for this question.
    age_s: float = 0.0
    #: Whether it answered this time; otherwise `value` is what it answered last.
    answered: bool = True


@dataclass(frozen=True, kw_only=True)
class _Flight(Generic[T_co]):
    """One call, shared by everybody who waits for it."""

    began_s: float
    result: Future[T_co]


class Probe(Generic[T_co]):
    """Reads with one function, in one thread at a time; safe for many threads.

    A call that hangs keeps its thread, and is never joined by a second one: later questions get the last value at once,
    until the call returns after all.
    """

    def __init__(self, name: str, read: Callable[[], T_co]) -> None:
        """Read nothing yet; `name` is the thread's."""
        self._name = name
        self._read = read
        self._lock = threading.Lock()
        self._flight: _Flight[T_co] | None = None
        self._last: T_co | None = None
        self._last_s = 0.0

    def ask(self, wait_s: float) -> Reading[T_co]:
        """Return a value that was read after this question, or the last one if that takes more than `wait_s`.

        A call that is under way already is given `wait_s` from its own beginning.

        Raises:
            Exception: what the function raised.
        """
        asked_s = time.monotonic()
        while True:
            flight = self._join()
            wait([flight.result], timeout=max(0.0, flight.began_s + wait_s - time.monotonic()))
            if not flight.result.done():
                with self._lock:
                    return Reading(value=self._last, age_s=time.monotonic() - self._last_s, answered=False)
            if flight.began_s >= asked_s:
                return Reading(value=flight.result.result())

    def _join(self) -> _Flight[T_co]:
        """Return the call that is under way, or begin one."""
        with self._lock:
            if self._flight is None:
                self._flight = _Flight(began_s=time.monotonic(), result=Future())
                threading.Thread(
                    target=self._fly, args=(self._flight,), name=f"probe-{self._name}", daemon=True
                ).start()
            return self._flight

    def _fly(self, flight: _Flight[T_co]) -> None:
        try:
            value = self._read()
        except BaseException as error:  # noqa: BLE001 - it is raised again where `ask` waits
            with self._lock:
                self._flight = None
            flight.result.set_exception(error)
            return
        with self._lock:
            self._flight = None
            self._last, self._last_s = value, time.monotonic()
        flight.result.set_result(value)
