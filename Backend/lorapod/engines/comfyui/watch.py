"""A prompt, from its submission to its end.

The history is the truth, the socket only says when to look: a socket may close, or fall silent while it stays open, and
its last event comes before the history has the prompt. So it is looked for whenever an event says that something ended, or
a socket was lost, and once a second whatever the socket does.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from lorapod.engines.comfyui.client import ComfyClient, ServerAway, ServerSlow
from lorapod.engines.comfyui.events import PromptEvents
from lorapod.engines.comfyui.graph import Graph
from lorapod.engines.comfyui.problems import AcceptedPrompt
from lorapod.engines.comfyui.progress import PromptProgress
from lorapod.engines.comfyui.stopping import TICK_S, PromptCancelled, end, unless_stopped
from lorapod.engines.port import GenerationProgress
from lorapod.errors import UpstreamError, WorkerTimeout

#: How often the history is looked at while the socket says nothing, and once it is closed.
POLL_S = 1.0
POLL_CLOSED_S = 0.25
#: Silence after which the queue is asked whether the prompt is still there.
SILENCE_S = 3.0
#: Longest wait for one look.
LOOK_S = 2.0
#: How long a server that cannot be reached may take to come back.
AWAY_S = 60.0
#: How long a prompt may take to end after it was cancelled, and how often that is said again: ComfyUI forgets an
#: interrupt that comes just before a prompt begins.
CANCEL_S = 5.0
CANCEL_AGAIN_S = 1.0
_FIRST_WAIT_S = 0.001
_AFTER_END_S = 0.02

_ENDS = frozenset({"execution_success", "execution_error", "execution_interrupted"})


class PromptLost(UpstreamError):
    """ComfyUI does not know the prompt any more: it was restarted meanwhile."""


class PromptStuck(UpstreamError):
    """ComfyUI continues a prompt that was cancelled."""


@dataclass(frozen=True, kw_only=True)
class PromptLimits:
    """How long a prompt is waited for."""

    #: On the monotonic clock: when it is given up.
    deadline_s: float
    #: How often, and how far apart, the history is asked for a prompt that has ended.
    history_attempts: int
    history_delay_s: float


@dataclass(frozen=True, kw_only=True)
class EndedPrompt:
    """A prompt that ended, somehow."""

    prompt_id: str
    entry: Mapping[str, Any]
    accepted: AcceptedPrompt


class PromptWatch:
    """Submits one prompt and sees it to its end."""

    def __init__(
        self,
        client: ComfyClient,
        *,
        prompt_id: str,
        process_id: str,
        limits: PromptLimits,
        progress: PromptProgress,
        report: Callable[[GenerationProgress], None],
        stopped: Callable[[], bool],
        check_server: Callable[[], bool],
    ) -> None:
        """Watch, but submit nothing yet.

        Args:
            client: the server's.
            prompt_id: the id that the prompt will have, a UUID.
            process_id: the process that the prompt belongs to.
            limits: how long it may take.
            progress: what reads its events.
            report: called with the progress in them.
            stopped: whether to cancel it.
            check_server: whether a server that cannot be reached is known to be alive; raises if it has died.
        """
        self._client = client
        self._prompt_id = prompt_id
        self._process_id = process_id
        self._limits = limits
        self._progress = progress
        self._report = report
        self._stopped = stopped
        self._check_server = check_server
        self._hint = asyncio.Event()
        self._over = False
        self._client_id = uuid.uuid4().hex
        self._events = PromptEvents(client, self._client_id, read=self._read, lost=self._hint.set)
        self._heard_s = self._seen_s = time.monotonic()

    async def run(self, graph: Graph, editor: Mapping[str, Any], key: SecretStr | None) -> EndedPrompt:
        """Submit the workflow, and wait for its end; the parameters are those of `ComfyClient.submit`.

        Raises:
            PromptCancelled: it was to be stopped.
            WorkerTimeout: it did not end before the deadline, and was cancelled.
            PromptStuck: it was cancelled, and continues all the same.
            PromptLost: the server does not know it any more.
            ServerAway: the server cannot be reached any more.
            InvalidInput: ComfyUI refuses the workflow.
        """
        async with AsyncExitStack() as stack:
            listening = asyncio.create_task(self._events.run())
            stack.push_async_callback(end, listening)
            await self._events.first_try()
            accepted = await self._unless_stopped(
                self._client.submit(
                    graph,
                    prompt_id=self._prompt_id,
                    client_id=self._client_id,
                    process_id=self._process_id,
                    editor=editor,
                    key=key,
                )
            )
            entry = await self._wait()
        if (entry.get("status") or {}).get("completed"):
            self._report(self._progress.ended())
        return EndedPrompt(prompt_id=self._prompt_id, entry=entry, accepted=accepted)

    def _read(self, text: str) -> None:
        try:
            event = json.loads(text)
            kind, data = event["type"], event["data"]
        except (ValueError, LookupError, TypeError):
            return
        if not isinstance(data, Mapping):
            return
        # A socket that was opened again is told of the node at work, without the prompt's id.
        told_again = kind == "executing" and "prompt_id" not in data
        if data.get("prompt_id") != self._prompt_id and not told_again:
            return
        self._heard_s = time.monotonic()
        if kind == "executing" and data.get("node") is None:
            self._over = True
            self._hint.set()
        elif kind in _ENDS:
            # The event above comes right after it, once the history has the prompt; or it never comes.
            asyncio.get_running_loop().call_later(_AFTER_END_S, self._hint.set)
        elif (told := self._progress.read(kind, data)) is not None:
            self._report(told)

    async def _unless_stopped(self, submitting: Coroutine[Any, Any, AcceptedPrompt]) -> AcceptedPrompt:
        """Submit, or give up if the generation is stopped: a server that hangs must not block it."""
        try:
            return await unless_stopped(submitting, self._stopped)
        except PromptCancelled:
            await self._cancel()
            raise

    async def _wait(self) -> Mapping[str, Any]:
        looked_s = time.monotonic()
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._hint.wait(), TICK_S)
            now_s = time.monotonic()
            if self._stopped():
                await self._cancel()
                raise PromptCancelled
            if now_s >= self._limits.deadline_s:
                await self._cancel()
                raise WorkerTimeout(
                    "ComfyUI did not finish in time, and the prompt was cancelled.",
                    hint="Make it smaller, or raise GENERATION_TIMEOUT.",
                )
            hinted = self._hint.is_set()
            if hinted or now_s - looked_s >= (POLL_S if self._events.is_open else POLL_CLOSED_S):
                self._hint.clear()
                entry = await (self._look_closely() if hinted else self._look())
                if entry is not None:
                    return entry
                looked_s = time.monotonic()
                await self._look_for_loss(looked_s)

    async def _look(self) -> Mapping[str, Any] | None:
        """Ask the history; treat a server as dead only after `AWAY_S` without an answer."""
        try:
            async with asyncio.timeout(LOOK_S):
                entry = await self._client.history(self._prompt_id)
        except (ServerSlow, TimeoutError):
            # It may be loading a model; the deadline limits that.
            self._check_server()
            return None
        except ServerAway:
            lives = self._check_server()
            if not lives and time.monotonic() - self._seen_s > AWAY_S:
                raise
            # It may come back as one that knows nothing of the prompt.
            self._over = False
            return None
        self._seen_s = time.monotonic()
        return entry

    async def _look_closely(self) -> Mapping[str, Any] | None:
        """Ask the history at once; repeat if the prompt is known to be over."""
        wait_s, late = _FIRST_WAIT_S, 0
        while (entry := await self._look()) is None:
            if wait_s >= self._limits.history_delay_s:
                if not self._over:
                    return None
                late += 1
            if late >= self._limits.history_attempts:
                raise UpstreamError("ComfyUI says that the workflow ended, but its history does not have it.")
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, self._limits.history_delay_s)
        return entry

    async def _look_for_loss(self, now_s: float) -> None:
        """Ask the queue if no event came for a while.

        Raises:
            PromptLost: the prompt neither waits nor runs, and has not ended either.
        """
        if self._seen_s < now_s - POLL_S or now_s - self._heard_s < SILENCE_S:
            return
        self._heard_s = now_s
        try:
            async with asyncio.timeout(LOOK_S):
                gone = not await self._client.is_queued(self._prompt_id)
                if gone and await self._client.history(self._prompt_id) is None:
                    raise PromptLost
        except (ServerAway, TimeoutError):
            self._check_server()

    async def _cancel(self) -> None:
        """Have the prompt end, and see it end.

        Raises:
            PromptStuck: it did not, within `CANCEL_S`.
        """
        until_s = time.monotonic() + CANCEL_S
        said_s = 0.0
        while (now_s := time.monotonic()) < until_s:
            try:
                async with asyncio.timeout(until_s - now_s):
                    if now_s - said_s >= CANCEL_AGAIN_S:
                        await self._client.cancel(self._prompt_id)
                        said_s = now_s
                    if not await self._client.is_queued(self._prompt_id):
                        return
            except ServerAway:
                self._check_server()
            except TimeoutError:
                break
            with suppress(TimeoutError):
                await asyncio.wait_for(self._hint.wait(), TICK_S / 4)
            self._hint.clear()
        raise PromptStuck
