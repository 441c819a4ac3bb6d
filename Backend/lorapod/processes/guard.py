"""A small process beside each child that kills it when its worker is gone.

`python -I -S guard.py BEATS WORD FENCE_S PROGRAM [ARGUMENT ...]` leaves a guard behind and becomes the program: same
process id, same session, so that its parent sees the program's own exit. The guard, in its own session, reads
the descriptor BEATS, a pipe from the worker: eight bytes each time, a double, the monotonic time in seconds before the
worker's last heartbeat, or infinity when the child has ended. It kills the child's group

- when the pipe ends: the worker is dead;
- when the last heartbeat is older than FENCE_S: the worker is frozen, or cut off from its workspace.

Before it kills, it writes to the descriptor WORD, a pipe to the worker, how old the last heartbeat was, a double too: so
the worker can say why the child ended.

`guard.py --watch GROUP BEATS WORD FENCE_S` leaves a guard for a group that is there already, and ends.

(`PR_SET_PDEATHSIG` would not do: it fires when the *thread* that started the child ends, and never for a frozen
worker.) Only the standard library is used, and as little of it as possible: a guard takes 20 ms and a few MB.
"""

import math
import os
import select
import signal
import struct
import sys
import time

TIME = struct.Struct("<d")

#: Heartbeats that are read at once.
_MESSAGES = 512
#: Longest single wait for news: `poll` takes no number of milliseconds beyond 31 bits.
_POLL_MAX_MS = 3_600_000


def guard(group: int, beats: int, word: int, fence_s: float) -> None:
    """Watch until the child has ended or has to be killed."""
    os.set_blocking(beats, False)
    last_s = time.monotonic()
    # Not `select`, which refuses descriptors from 1024 on: a worker with many processes has them.
    news = select.poll()
    news.register(beats, select.POLLIN)
    while True:
        # The time before the pipe is emptied: a guard that stood still itself judges by what came meanwhile.
        now_s = time.monotonic()
        newest_s = _newest(beats, last_s)
        if newest_s is None or now_s >= newest_s + fence_s:
            break
        if math.isinf(newest_s):
            return
        last_s = newest_s
        news.poll(min(_POLL_MAX_MS, math.ceil((last_s + fence_s - now_s) * 1000)))
    _say(word, now_s - last_s)
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


def _say(word: int, age_s: float) -> None:
    try:
        os.write(word, TIME.pack(age_s))
    except OSError:
        # The worker is dead, and hears nothing.
        return


def _newest(beats: int, last_s: float) -> float | None:
    """Empty the pipe, and return the newest time in it, or `last_s`; None if the worker has closed it."""
    while True:
        try:
            messages = os.read(beats, _MESSAGES * TIME.size)
        except BlockingIOError:
            return last_s
        if len(messages) < TIME.size:
            return last_s if math.isinf(last_s) else None
        (last_s,) = TIME.unpack(messages[-TIME.size :])


def leave_guard(group: int, beats: int, word: int, fence_s: float) -> None:
    """Fork a guard for `group`, adopted by init; return in the caller alone, the descriptors closed."""
    middle = os.fork()
    if middle:
        os.close(beats)
        os.close(word)
        os.waitpid(middle, 0)
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    low, high = sorted((beats, word))
    for first, end in ((3, low), (low + 1, high), (high + 1, 65536)):
        os.closerange(first, end)
    guard(group, beats, word, fence_s)
    os._exit(0)


def main(arguments: list[str]) -> None:
    """Leave the guard that the arguments ask for, and become the program."""
    if arguments[0] == "--watch":
        group, beats, word = (int(argument) for argument in arguments[1:4])
        leave_guard(group, beats, word, float(arguments[4]))
        return
    leave_guard(os.getpid(), int(arguments[0]), int(arguments[1]), float(arguments[2]))
    for number in (signal.SIGINT, signal.SIGTERM):
        # A shell has what it starts in the background ignore SIGINT, which every child would inherit.
        signal.signal(number, signal.SIG_DFL)
    os.execvp(arguments[3], arguments[3:])  # noqa: S606 - the program that the worker named, without a shell


if __name__ == "__main__":
    main(sys.argv[1:])
