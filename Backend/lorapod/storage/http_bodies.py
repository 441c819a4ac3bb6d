"""Bodies of HTTP answers, piece by piece."""

from __future__ import annotations

import httpx

from lorapod.storage.fetching import Write

READ_BYTES = 1 << 20


def write_from(offset: int, response: httpx.Response, write: Write) -> None:
    """Write the answer to a request for what follows `offset`; a server that ignores the range answers all of it."""
    surplus = offset if response.status_code == httpx.codes.OK else 0
    for chunk in response.iter_bytes(READ_BYTES):
        fresh = chunk[surplus:]
        surplus = max(0, surplus - len(chunk))
        if fresh:
            write(fresh)
