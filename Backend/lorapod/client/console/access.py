"""Who may use the console: the browser that opened the one-time link."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

#: Where the one-time link leads; the rest of its path is the ticket.
OPEN_PATH = "/open/"


@dataclass(frozen=True, kw_only=True)
class ConsoleSession:
    """What a browser has after it opened the link.

    A browser sends the cookie to every port of this machine, so another program that listens here may see it. The key is kept
    by the console's own page, and sent by its scripts only.
    """

    cookie: str = field(repr=False)
    page_key: str = field(repr=False)


class ConsoleAccess:
    """The present one-time link, and the sessions that earlier ones opened."""

    def __init__(self, on_new_link: Callable[[], None] | None = None) -> None:
        """Make the first link.

        Args:
            on_new_link: called when a link was used and the next one is there.
        """
        self._ticket = secrets.token_urlsafe(24)
        self._sessions: dict[str, ConsoleSession] = {}
        self._on_new_link = on_new_link

    @property
    def link_path(self) -> str:
        """The path of the present link."""
        return f"{OPEN_PATH}{self._ticket}"

    def redeem(self, ticket: str) -> ConsoleSession | None:
        """Return a new session for the present ticket, which is used up then; None for any other."""
        if not hmac.compare_digest(ticket.encode(), self._ticket.encode()):
            return None
        self._ticket = secrets.token_urlsafe(24)
        session = ConsoleSession(cookie=secrets.token_urlsafe(32), page_key=secrets.token_urlsafe(32))
        self._sessions[session.cookie] = session
        if self._on_new_link is not None:
            self._on_new_link()
        return session

    def knows(self, cookie: str | None) -> bool:
        """Return whether a cookie is that of a session."""
        return cookie is not None and cookie in self._sessions

    def is_page(self, cookie: str | None, page_key: str | None) -> bool:
        """Return whether a request comes from the page of a session."""
        session = None if cookie is None else self._sessions.get(cookie)
        return (
            session is not None
            and page_key is not None
            and hmac.compare_digest(page_key.encode(), session.page_key.encode())
        )
