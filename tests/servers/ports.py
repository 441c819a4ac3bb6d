"""Loopback ports that nobody uses."""

from __future__ import annotations

import socket
import time
from contextlib import suppress


def free_ports(count: int) -> list[int]:
    """So many different ones. Whoever listens there should begin soon: the system may hand them out again."""
    held = [socket.socket() for _ in range(count)]
    for each in held:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


def free_port() -> int:
    """As `free_ports`, one."""
    return free_ports(1)[0]


def await_listener(port: int, *, within_s: float = 30.0) -> None:
    """Wait until something listens on a loopback port."""
    until_s = time.monotonic() + within_s
    while True:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        assert time.monotonic() < until_s, f"nothing listens on {port}"
        time.sleep(0.02)
