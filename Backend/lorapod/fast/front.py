"""Answers jobs from the first moment: a few by itself, all others through the real worker once it is ready."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Mapping
from typing import Any

from lorapod import __version__
from lorapod.errors import Conflict, InternalError, InvalidInput, WorkerError
from lorapod.fast.settings import FastSettings
from lorapod.fast.worker_runner import Readiness, WorkerRunner
from lorapod.safety.redaction import Redactor
from lorapod.wire.envelope import Call, error_answer, open_envelope, secrets_of, with_object

logger = logging.getLogger(__name__)

#: How often a waiting job looks at the progress of the build.
LOOK_S = 1.0

_WAIT, _REFUSE = "wait", "refuse"

#: The fields of `setup_environment`.
_SETUP_FIELDS = frozenset({"wait", "force"})

Update = Callable[[Mapping[str, Any]], None]


class Front:
    """The entry's answers; use it in one event loop only."""

    def __init__(self, settings: FastSettings, runner: WorkerRunner, redactor: Redactor) -> None:
        """Answer some types at once and the others through `runner`; `redactor` masks the secrets of jobs."""
        self._settings = settings
        self._runner = runner
        self._redactor = redactor
        self._began_s = time.monotonic()
        self._waiting = 0

    async def answer(self, event: Any, update: Update) -> dict[str, Any]:
        """Answer one event; `update` sends progress updates of its RunPod job."""
        event = with_object(event)
        with self._redactor.holding(secrets_of(event)):
            try:
                return await self._answer(event, _guarded(update))
            except WorkerError as error:
                answered: dict[str, Any] = self._redactor.record(error_answer(error))
                return answered
            except Exception:
                logger.exception("the entry failed")
                return error_answer(InternalError())

    async def _answer(self, event: Any, update: Update) -> dict[str, Any]:
        call = open_envelope(event)
        match call.type:
            case "ping":
                _take_only(call, frozenset())
                return {"pong": True, "worker_id": self._settings.worker_id}
            case "echo":
                return {
                    "echo": self._redactor.answer(dict(call.fields)),
                    "worker_id": self._settings.worker_id,
                }
            case "health":
                return await self._health(event, call, update)
            case "setup_environment":
                return await self._setup(call, update)
        event, patient = _without_if_preparing(event)
        return await self._hand_on(event, update, patient=patient)

    async def _hand_on(self, event: Any, update: Update, *, patient: bool) -> dict[str, Any]:
        runner = self._runner
        if runner.stale_failure():
            runner.begin()
        if runner.worker() is None and not patient:
            raise self._not_yet()
        sent = await self._until_up(update)
        worker = runner.worker()
        assert worker is not None

        def numbered(progress: Mapping[str, Any]) -> None:
            number = progress.get("sequence")
            update({**progress, "sequence": number + sent} if isinstance(number, int) else progress)

        return await worker.answer(event, numbered)

    async def _until_up(self, update: Update) -> int:
        """Wait for the real worker with progress updates, and return the number of updates.

        Raises:
            WorkerError: the worker cannot be prepared.
        """
        runner = self._runner
        runner.begin()
        sent, shown, due_s = 0, None, 0.0
        self._waiting += 1
        try:
            while runner.worker() is None:
                view = self._environment()
                step = (view["status"], view.get("step"))
                if step != shown or time.monotonic() >= due_s:
                    sent, shown = sent + 1, step
                    due_s = time.monotonic() + self._settings.progress_interval_s
                    update({"status": "preparing", "sequence": sent, "environment": view})
                await runner.changed(LOOK_S)
        finally:
            self._waiting -= 1
        return sent

    def _not_yet(self) -> WorkerError:
        view = self._environment()
        left_s = view.get("remaining_s")
        when = f"in about {left_s:.0f} s" if left_s is not None else "later"
        return Conflict(
            f"This worker is still preparing its environment ({view['detail']}).",
            hint=f"Send it again {when}, or with `if_preparing: wait`.",
            details=[
                {
                    "field": "environment",
                    **{k: v for k, v in view.items() if k in {"status", "percent", "remaining_s"}},
                }
            ],
        )

    async def _health(self, event: Any, call: Call, update: Update) -> dict[str, Any]:
        _take_only(call, frozenset())
        view = self._environment()
        if view["status"] == Readiness.READY and (worker := self._runner.worker()) is not None:
            answer = await worker.answer(event, update)
            return answer if "error" in answer else {**answer, "environment": view}
        return {
            "status": "degraded",
            "checks": [{"name": "environment", "ok": False, "detail": view["detail"]}],
            "worker_id": self._settings.worker_id,
            "version": __version__,
            "uptime_s": round(time.monotonic() - self._began_s, 3),
            "gpu": [],
            **self._disk(),
            "processes": {"queued": self._waiting, "running": 0},
            "trainers": [],
            "engines": [],
            "captioners": [],
            "environment": view,
        }

    async def _setup(self, call: Call, update: Update) -> dict[str, Any]:
        _take_only(call, _SETUP_FIELDS)
        wait, force = (_flag(call, name, default) for name, default in (("wait", True), ("force", False)))
        runner = self._runner
        up = runner.state.status is Readiness.READY
        if force and up:
            await runner.rebuild()
        else:
            runner.begin(again=force)
        if wait:
            await self._until_up(update)
        note = {"note": "Workers that start from now on use the new environment."} if force and up else {}
        return {"worker_id": self._settings.worker_id, "environment": self._environment(), **note}

    def _environment(self) -> dict[str, Any]:
        """Return the state of the environment as `health` shows it."""
        runner, settings = self._runner, self._settings
        state, now_s = runner.state, time.monotonic()
        view: dict[str, Any] = {
            "status": state.status.value,
            "key": runner.store.key,
            "path": str(runner.store.folder),
            "shared": settings.shared,
            "since_s": round(now_s - state.since_s, 1),
        }
        if not settings.shared:
            view["warning"] = (
                "The environment is not on a network volume: every new worker has to make its own."
            )
        if state.status is Readiness.PREPARING:
            view |= {"step": state.stage.step.value, "percent": round(100 * state.stage.share, 1)}
            if (left_s := state.remaining_s(now_s, runner.known_s)) is not None:
                view["remaining_s"] = left_s
            if state.elsewhere:
                view["elsewhere"] = True
        if state.failure is not None:
            view["failure"] = self._redactor.record(error_answer(state.failure))
        view["detail"] = self._redactor.text(_detail(view, state.stage.detail))
        return view

    def _disk(self) -> dict[str, Any]:
        try:
            usage = shutil.disk_usage(self._settings.workspace_root)
        except OSError:
            return {}
        return {
            "disk": {"total_bytes": usage.total, "used_bytes": usage.used, "free_bytes": usage.free},
        }


def _guarded(update: Update) -> Update:
    """Wrap an update so that its failure is logged and does not end its job."""

    def guarded(progress: Mapping[str, Any]) -> None:
        try:
            update(progress)
        except Exception:
            logger.exception("a progress update could not be sent; its job continues")

    return guarded


def _detail(view: Mapping[str, Any], detail: str) -> str:
    match view["status"]:
        case Readiness.FAILED:
            return str(view["failure"]["error"])
        case Readiness.PREPARING:
            who = "another worker: " if view.get("elsewhere") else ""
            left_s = view.get("remaining_s")
            more = f", about {left_s:.0f} s left" if left_s is not None else ""
            return f"{who}{view['step']}{f' {detail}' if detail else ''}, {view['percent']} %{more}"
        case Readiness.READY:
            return "The real worker accepts jobs."
        case Readiness.STARTING:
            return "The environment is ready; the real worker is starting."
    return "The preparation has not begun yet."


def _without_if_preparing(event: Any) -> tuple[Any, bool]:
    """Return the event without the entry's own field, and whether its job waits for the real worker."""
    fields = dict(event["input"])
    choice = fields.pop("if_preparing", _WAIT)
    if choice not in {_WAIT, _REFUSE}:
        raise InvalidInput(f"if_preparing: it must be {_WAIT!r} or {_REFUSE!r}.")
    return {**event, "input": fields}, choice == _WAIT


def _take_only(call: Call, known: frozenset[str]) -> None:
    unknown = sorted(set(call.fields) - known - {"if_preparing"})
    if unknown:
        raise InvalidInput(
            f"{unknown[0][:80]}: unknown field.",
            hint=f"The fields of {call.type} are {', '.join(sorted(known))}."
            if known
            else f"{call.type} has no fields.",
        )


def _flag(call: Call, name: str, default: bool) -> bool:  # noqa: FBT001 - read where it is called
    value = call.fields.get(name, default)
    if not isinstance(value, bool):
        raise InvalidInput(f"{name}: it must be true or false.")
    return value
