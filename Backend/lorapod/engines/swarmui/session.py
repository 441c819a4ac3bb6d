"""SwarmUI's sessions: got once, used for a month, and got afresh when the server has forgotten them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from lorapod.engines.swarmui.answers import SessionUnknown
from lorapod.engines.swarmui.connection import SwarmConnection, SwarmSocket
from lorapod.errors import UpstreamError

#: For routes that only look something up.
QUICK_S = 30.0

#: Between two looks at whether another caller is done with the session.
_LOOK_S = 0.01


@dataclass(frozen=True, kw_only=True)
class Granted:
    """What SwarmUI said when it gave a session."""

    session_id: str
    #: The server's version; None if it does not say.
    version: str | None = None


class SwarmSession:
    """One session, shared by any number of threads and event loops."""

    def __init__(self) -> None:
        """Ask for nothing yet."""
        self._granted: Granted | None = None
        self._lock = threading.Lock()

    @property
    def granted(self) -> Granted | None:
        """The session as it is known at this moment; None before the first."""
        return self._granted

    async def get(
        self, connection: SwarmConnection, *, but: str | None = None, timeout_s: float = QUICK_S
    ) -> Granted:
        """Return the session; get a new one if none is open, or if its id is `but`.

        Of several callers that hold the same id that the server has forgotten, the first gets a new one for all.
        """
        while not self._lock.acquire(blocking=False):  # noqa: ASYNC110 - it belongs to other threads' loops too
            # Not in its own thread: a thread that is cancelled while it waits would never give the lock back.
            await asyncio.sleep(_LOOK_S)
        try:
            known = self._granted
            if known is None or known.session_id == but:
                known = self._granted = await _new_session(connection, timeout_s)
            return known
        finally:
            self._lock.release()


class SwarmCaller:
    """Calls SwarmUI's routes within a session; renews the session and repeats the call if SwarmUI has forgotten it."""

    def __init__(self, connection: SwarmConnection, session: SwarmSession) -> None:
        """Ask over `link` as `session`."""
        self.connection = connection
        self._session = session

    async def call(
        self, route: str, fields: Mapping[str, Any] | None = None, *, timeout_s: float = QUICK_S
    ) -> dict[str, Any]:
        """Return the answer of a route; raise as `SwarmConnection.post` does."""
        quick_s = min(timeout_s, QUICK_S)
        granted = await self._session.get(self.connection, timeout_s=quick_s)
        try:
            return await self._post(route, fields, granted, timeout_s)
        except SessionUnknown:
            granted = await self._session.get(self.connection, but=granted.session_id, timeout_s=quick_s)
        try:
            return await self._post(route, fields, granted, timeout_s)
        except SessionUnknown:
            raise _refused() from None

    @asynccontextmanager
    async def converse(self, route: str, fields: Mapping[str, Any]) -> AsyncIterator[SwarmSocket]:
        """Open a websocket route and say what is wanted; its messages follow.

        Raises:
            NoSocket, SwarmUnreachable: see `SwarmConnection.socket`.
            WorkerError: the first message contains an error.
        """
        granted = await self._session.get(self.connection)
        async with AsyncExitStack() as sockets:
            try:
                talk = await self._begun(sockets, route, fields, granted)
            except SessionUnknown:
                granted = await self._session.get(self.connection, but=granted.session_id)
                try:
                    talk = await self._begun(sockets, route, fields, granted)
                except SessionUnknown:
                    raise _refused() from None
            yield talk

    async def _begun(
        self, sockets: AsyncExitStack, route: str, fields: Mapping[str, Any], granted: Granted
    ) -> SwarmSocket:
        talk = SwarmSocket(route, await sockets.enter_async_context(self.connection.socket(route)))
        await talk.begin({**fields, "session_id": granted.session_id})
        return talk

    async def _post(
        self, route: str, fields: Mapping[str, Any] | None, granted: Granted, timeout_s: float
    ) -> dict[str, Any]:
        body = {**(fields or {}), "session_id": granted.session_id}
        return await self.connection.post(route, body, timeout_s=timeout_s)


async def _new_session(connection: SwarmConnection, timeout_s: float) -> Granted:
    try:
        answer = await connection.post("GetNewSession", {}, timeout_s=timeout_s)
    except SessionUnknown:
        raise _refused() from None
    session_id, version = answer.get("session_id"), answer.get("version")
    if not isinstance(session_id, str) or not session_id:
        raise UpstreamError("SwarmUI gave no session.")
    return Granted(session_id=session_id, version=str(version) if version is not None else None)


def _refused() -> UpstreamError:
    return UpstreamError("SwarmUI refuses the session that it has just given.")
