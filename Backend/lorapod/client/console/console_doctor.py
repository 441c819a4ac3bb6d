"""The doctor of the console: what `lorapod doctor` finds, kept so that the page opens at once, and its fixes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

from lorapod.client.client import Client
from lorapod.client.console import moments
from lorapod.client.console.disk_cache import DiskCache
from lorapod.client.console.open_questions import OpenQuestion, Question
from lorapod.client.doctor.diagnosis import diagnose_local
from lorapod.client.doctor.finding import Finding, Severity
from lorapod.client.errors import NotFoundError

_KIND: Final = "doctor"
_NAME: Final = "findings"


class ConsoleDoctor:
    """Looks at one endpoint when a person asks."""

    def __init__(
        self,
        look: Callable[[], Sequence[Finding]],
        fix: Callable[[Finding], None] | None = None,
        *,
        wakes_worker: bool,
    ) -> None:
        """Look by `look`, and change by `fix` what a finding names; both block.

        Args:
            look: raises `LorapodError` if it cannot.
            fix: None: nothing can be changed from here.
            wakes_worker: whether a look starts a worker when no worker runs.
        """
        self._look, self._fix = look, fix
        self.wakes_worker = wakes_worker
        self._found: Sequence[Finding] = ()

    @classmethod
    def of_this_machine(cls, client: Client) -> ConsoleDoctor:
        """Return the doctor of an endpoint that is not RunPod's."""
        return cls(lambda: diagnose_local(client), wakes_worker=True)

    def looking(self, cache: DiskCache) -> Question:
        """Return the question what is wrong; the answer is kept in the cache."""

        async def ask(_state: OpenQuestion) -> None:
            await asyncio.to_thread(self._read, cache)

        return ask

    def fixing(self, cache: DiskCache, check: str) -> Question:
        """Return the request to change what a finding names, followed by another look.

        Raises:
            NotFoundError: no such finding was made since the console was started, or it has no fix.
        """
        found = next((one for one in self._found if one.check == check and one.fix is not None), None)
        fix = self._fix
        if found is None or fix is None:
            raise NotFoundError(
                f"There is nothing to change for {check[:80]}.",
                job_id="",
                code="not_found",
                hint="Look again first.",
            )

        async def ask(_state: OpenQuestion) -> None:
            await asyncio.to_thread(fix, found)
            await asyncio.to_thread(self._read, cache)

        return ask

    def view(self, cache: DiskCache) -> dict[str, Any]:
        """Return what was found last, the worst first."""
        known = cache.document(_KIND, _NAME) or {"findings": [], "known_at": None}
        fixable = {one.check for one in self._found if one.fix is not None} if self._fix else set()
        findings = [{**one, "fixable": one["check"] in fixable} for one in known["findings"]]
        return {"findings": findings, "known_at": known["known_at"], "wakes_worker": self.wakes_worker}

    def _read(self, cache: DiskCache) -> None:
        self._found = tuple(self._look())
        worst = [Severity.PROBLEM, Severity.NOTE, Severity.OK]
        shown = [
            {
                "check": one.check,
                "severity": one.severity.value,
                "message": one.message,
                "mend": one.mend,
                "lines": list(one.lines),
            }
            for one in sorted(self._found, key=lambda one: worst.index(one.severity))
        ]
        known_at = moments.now()
        cache.put_document(_KIND, _NAME, {"findings": shown, "known_at": known_at})
