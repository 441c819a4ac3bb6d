"""The socket on which ComfyUI tells of one prompt, opened again whenever it is lost.

ComfyUI sends a prompt's events to the newest socket of the client id that the prompt was submitted with, and on a new socket
first which node is at work. So each prompt has a client id of its own, and a lost socket is opened again under that id. If
the server notices the end of the old socket only after that, it forgets the new one too, which stays open and silent
(three times of three, measured): a socket on which nothing arrives is replaced as well. Nothing is sent twice, and no
end is told to a socket that comes late: only the history says how a prompt ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import aiohttp

from lorapod.engines.comfyui.client import ComfyClient, ServerAway

#: Silence after which a socket is replaced: a node may also work that long without a word.
QUIET_S = 10.0
#: The wait before a lost socket is opened again grows from the first to the longest.
AGAIN_FIRST_S = 0.1
AGAIN_LONGEST_S = 5.0


class PromptEvents:
    """Keeps a socket open for one client id."""

    def __init__(
        self, client: ComfyClient, client_id: str, *, read: Callable[[str], None], lost: Callable[[], None]
    ) -> None:
        """Open nothing yet.

        Args:
            client: the server's.
            client_id: the id that the prompt is submitted with.
            read: called with the text of every event.
            lost: called when a socket was lost.
        """
        self._client = client
        self._client_id = client_id
        self._read = read
        self._lost = lost
        self._tried = asyncio.Event()
        #: Whether a socket is open; it may be silent all the same.
        self.is_open = False

    async def first_try(self) -> None:
        """Wait until the first socket is open, or could not be opened."""
        await self._tried.wait()

    async def run(self) -> None:
        """Pass events on until this is cancelled."""
        wait_s = AGAIN_FIRST_S
        while True:
            heard = False
            try:
                async with self._client.socket(self._client_id) as socket:
                    self.is_open = True
                    self._tried.set()
                    heard = await self._listen(socket)
            except ServerAway:
                # A server that is gone does not take the prompt either.
                pass
            finally:
                self.is_open = False
                self._tried.set()
            self._lost()
            wait_s = AGAIN_FIRST_S if heard else min(2 * wait_s, AGAIN_LONGEST_S)
            await asyncio.sleep(wait_s)

    async def _listen(self, socket: aiohttp.ClientWebSocketResponse) -> bool:
        """Pass events on until the socket closes or falls silent; return whether there was any."""
        heard = False
        while True:
            try:
                message = await socket.receive(timeout=QUIET_S)
            except TimeoutError:
                return heard
            if message.type in {
                aiohttp.WSMsgType.CLOSE,
                aiohttp.WSMsgType.CLOSING,
                aiohttp.WSMsgType.CLOSED,
                aiohttp.WSMsgType.ERROR,
            }:
                return heard
            heard = True
            if message.type is aiohttp.WSMsgType.TEXT:
                self._read(message.data)
