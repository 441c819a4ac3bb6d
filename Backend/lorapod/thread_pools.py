"""Threads for calls that block, one bounded pool for each purpose: work of one kind that hangs never stops another.

The event loop's default executor is left to the libraries: asyncio resolves host names there, so code that fills it with
calls that hang cuts the worker off from its jobs.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class ThreadPool:
    """At most `size` threads, started when they are first needed, that never delay the end of the program."""

    def __init__(self, name: str, *, size: int) -> None:
        """Start no thread yet; `name` is the beginning of each thread's name."""
        self._name = name
        self._size = size
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._lock = threading.Lock()
        self._threads = 0

    async def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `function` in a thread of the pool and return its result; wait for a free thread if all are busy.

        If the caller is cancelled, a call that has not begun is dropped; one that has begun continues unheard.
        """
        return await asyncio.wrap_future(self.submit(function, *args, **kwargs))

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Return the future result of a call, made in a copy of the caller's context."""
        future: Future[T] = Future()
        context = contextvars.copy_context()
        self._calls.put((future, partial(context.run, partial(function, *args, **kwargs))))
        self._start_thread()
        return future

    def _start_thread(self) -> None:
        if self._idle.acquire(blocking=False):
            return
        with self._lock:
            if self._threads == self._size:
                return
            self._threads += 1
            number = self._threads
        # A daemon: the interpreter joins every other thread at its end, and a call that hangs never returns.
        threading.Thread(target=self._serve, name=f"{self._name}-{number}", daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                future, call = self._calls.get_nowait()
            except Empty:
                self._idle.release()
                future, call = self._calls.get()
            if future.set_running_or_notify_cancel():
                _fulfil(future, call)
            del future, call


def _fulfil(future: Future[Any], call: Callable[[], Any]) -> None:
    try:
        result = call()
    except BaseException as error:  # noqa: BLE001 - it is raised again where the result is awaited
        future.set_exception(error)
    else:
        future.set_result(result)


#: Short reads: records, logs, curves, lists of files.
READS: Final = ThreadPool("reads", size=16)

#: Looks at the records and uploads of processes whose end a job waits for.
WAITS: Final = ThreadPool("waits", size=16)

#: Whole files: digests, archives, downloads, uploads into datasets.
FILES: Final = ThreadPool("files", size=16)

#: Checks, starts and resumes of processes, and the answers for them.
STARTS: Final = ThreadPool("starts", size=16)

#: Cancels and other control requests, which must get through while starts hang.
CONTROL: Final = ThreadPool("control", size=8)

#: Servers beside the worker: the engines'.
REMOTE: Final = ThreadPool("remote", size=8)

#: What `health` looks at; each look has its own time limit (`telemetry.probe`).
HEALTH: Final = ThreadPool("health", size=8)
