"""Tickets for downloads: only a press of a button asks a worker for a file, no link alone."""

from __future__ import annotations

import secrets
from typing import Final

#: Tickets that wait for their download.
_MOST: Final = 100


class DownloadTickets:
    """Each ticket is good for one download of one file."""

    def __init__(self) -> None:
        self._paths: dict[str, str] = {}

    def issue(self, path: str) -> str:
        """Return the link of one download of a file of the workspace."""
        while len(self._paths) >= _MOST:
            self._paths.pop(next(iter(self._paths)))
        ticket = secrets.token_urlsafe(16)
        self._paths[ticket] = path
        return f"/api/downloads/{ticket}"

    def redeem(self, ticket: str) -> str | None:
        """Return the path of a ticket, which is used up with it; None if it is not one."""
        return self._paths.pop(ticket, None)
