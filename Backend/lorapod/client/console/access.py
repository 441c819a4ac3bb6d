"""Who may use the console: the browser that opened the one-time link."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable

#: Where the one-time link leads; the rest of its path is the ticket.
OPEN_PATH = "/open/"


class ConsoleAccess:
    """The present one-time link, and the sessions that earlier ones opened."""

    def __init__(self, on_new_link: Callable[[], None] | None = None) -> None:
        """Make the first link.

        Args:
            on_new_link: called when a link was used and the next one is there.
        """
        self._ticket = secrets.token_urlsafe(24)
        self._sessions: set[str] = set()
        self._on_new_link = on_new_link

    @property
    def link_path(self) -> str:
        """The path of the present link."""
        return f"{OPEN_PATH}{self._ticket}"

    def redeem(self, ticket: str) -> str | None:
        """Return a new session for the present ticket, which is used up then; None for any other."""
        if not hmac.compare_digest(ticket.encode(), self._ticket.encode()):
            return None
        self._ticket = secrets.token_urlsafe(24)
        session = secrets.token_urlsafe(32)
        self._sessions.add(session)
        if self._on_new_link is not None:
            self._on_new_link()
        return session

    def knows(self, session: str | None) -> bool:
        """Return whether a cookie is that of a session."""
        return session is not None and session in self._sessions
