"""Prepares the environment of the real worker: starts the child that makes it, and follows its progress."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorapod.errors import ErrorCode, WorkerError
from lorapod.fast.building.environments import EnvironmentStore
from lorapod.fast.building.steps import BuildStage, BuildStep
from lorapod.fast.settings import FastSettings

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class BuildProgress:
    """The progress of a build."""

    stage: BuildStage
    #: Whether another worker makes it.
    elsewhere: bool = False


class BuildFailed(WorkerError):
    """The environment could not be made."""

    def __init__(self, message: str, *, hint: str, code: str) -> None:
        """Take over the error that the builder reported, with its code."""
        super().__init__(message, hint=hint)
        self.code = ErrorCode(code)  # type: ignore[misc] # of this one error, not of the class


async def prepare(
    settings: FastSettings, store: EnvironmentStore, *, again: bool, report: Callable[[BuildProgress], None]
) -> Path:
    """Return the interpreter of the environment, which is made first if it does not exist.

    Args:
        settings: the settings of the entry.
        store: the environments of the volume.
        again: make a new environment even if there is one.
        report: called with each step of the build.

    Raises:
        WorkerError: the environment cannot be made.
    """
    found = None if again else await asyncio.to_thread(store.ready)
    if found is not None:
        return store.python(found)
    spec = store.spec
    options = ["--again"] if again else []
    builder = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "lorapod.fast.building"),
        *(str(spec.lock), str(spec.backend), str(spec.environments)),
        *(str(settings.lease_s), str(settings.disk_min_free_bytes), *options),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(spec.backend)},
        start_new_session=True,
    )
    assert builder.stdout is not None
    assert builder.stdin is not None
    last: dict[str, Any] = {}
    try:
        async for line in builder.stdout:
            last = json.loads(line)
            if "step" in last:
                stage = BuildStage(step=BuildStep(last["step"]), part=last["part"], detail=last["detail"])
                report(BuildProgress(stage=stage, elsewhere=last.get("elsewhere", False)))
        exit_code = await builder.wait()
        _end_group(builder.pid)
    finally:
        # If this was cancelled, the builder gives up its turn, and ends with everything that it started.
        builder.stdin.close()
    if "ready" in last:
        return Path(last["ready"])
    logger.warning(
        "the environment could not be made", extra={"reason": last.get("error"), "exit": exit_code}
    )
    raise BuildFailed(
        last.get("error") or f"The builder of the environment ended unexpectedly ({_exit(exit_code)}).",
        hint=last.get("hint")
        or "Send `setup_environment`; if it fails again, the worker's memory may be too small.",
        code=last.get("code") or ErrorCode.INTERNAL,
    )


def _exit(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _end_group(pid: int) -> None:
    """Kill what is left of the build, for example pip."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return
