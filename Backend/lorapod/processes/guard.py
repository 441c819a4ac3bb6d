"""A small process beside each child that ends it when its worker is gone.

`python -I -S guard.py DESCRIPTOR FENCE_S PROGRAM [ARGUMENT ...]` leaves a guard behind and becomes the program: same
process id, same session, so that its parent sees the program's own exit. The guard, in a session of its own, reads
DESCRIPTOR, a pipe from the worker: eight bytes each time, a double, the monotonic time in seconds before the worker's
last heartbeat, or infinity when the child has ended. It kills the child's group

- when the pipe ends: the worker is dead;
- when the last heartbeat is older than FENCE_S: the worker is frozen, or cut off from its workspace.

`guard.py --watch GROUP DESCRIPTOR FENCE_S` leaves a guard for a group that is there already, and ends.

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


def guard(group: int, descriptor: int, fence_s: float) -> None:
    """Watch until the child has ended or has to be ended."""
    last_s = time.monotonic()
    while True:
        wait_s = last_s + fence_s - time.monotonic()
        if wait_s <= 0 or not select.select([descriptor], [], [], wait_s)[0]:
            break
        message = os.read(descriptor, TIME.size)
        if len(message) < TIME.size:
            break
        (last_s,) = TIME.unpack(message)
        if math.isinf(last_s):
            return
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


def leave_guard(group: int, descriptor: int, fence_s: float) -> None:
    """Fork a guard for `group` that is nobody's child; returns in the caller alone, its `descriptor` closed."""
    middle = os.fork()
    if middle:
        os.close(descriptor)
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
    os.dup2(descriptor, 3)
    os.closerange(4, 65536)
    guard(group, 3, fence_s)
    os._exit(0)


if __name__ == "__main__":
    if sys.argv[1] == "--watch":
        leave_guard(int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
        sys.exit()
    leave_guard(os.getpid(), int(sys.argv[1]), float(sys.argv[2]))
    os.execvp(sys.argv[3], sys.argv[3:])  # noqa: S606 - the program that the worker named, without a shell
