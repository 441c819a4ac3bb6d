"""Keep forks of this process apart from starts of programs.

RunPod's SDK forks the process that pings the platform, and that fork executes no program. If it is made while another
thread starts one, it inherits the pipe on which `subprocess` waits for the program's start, and keeps it open: the start
would wait as long as the fork lives, that is as long as the worker.
"""

from __future__ import annotations

import os
import threading
from contextlib import AbstractContextManager

_starting = threading.RLock()
os.register_at_fork(
    before=_starting.acquire, after_in_parent=_starting.release, after_in_child=_starting.release
)


def no_fork() -> AbstractContextManager[object]:
    """Hold every `os.fork` of this process back while a program is started."""
    return _starting
