"""The middle stages of `run`: the training, and the choice of its best checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lorapod.client.client import Client
from lorapod.client.commands.endings import ENDED, how_to_resume, process_ended, why_ended
from lorapod.client.commands.live import warn_of_dataset
from lorapod.client.commands.run_screen import RunScreen, last_step
from lorapod.client.commands.train import EXECUTION_TIMEOUT_S
from lorapod.client.comparison import EXECUTION_TIMEOUT_S as COMPARISON_S
from lorapod.client.errors import JobFailed, LorapodError, NotFoundError
from lorapod.client.lora_run.state import RunProgress, RunState, digest_of

#: Reasons of an end before the last step that the training was asked for.
_WANTED_ENDS = frozenset({"limit", "no_improvement"})

_AGAIN = "Run the same command again to continue."


@dataclass(kw_only=True)
class RunTraining:
    """The training of one run, and the comparison of its checkpoints."""

    client: Client
    screen: RunScreen
    state: RunState
    run: RunProgress
    #: What makes this run different from all others.
    key: str

    def train(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Train, or find the training that an earlier call began, and follow it to its end; return its last status.

        Raises:
            ProcessEnded: it failed, was cancelled or was interrupted.
            LorapodError: the worker refuses it.
        """
        before = self._known()
        if before is not None and _is_done(before):
            self.screen.stage("train", f"done before: {self.run.training}, {last_step(before)}")
            return before
        if before is not None and before["status"] in ENDED:
            self.screen.stage(
                "train", f"{self.run.training} was {before['status']} at {last_step(before)}; it is resumed"
            )
        begun = self.client.train(
            execution_timeout_s=EXECUTION_TIMEOUT_S,
            idempotency_key=self._key_of("train"),
            **request,
        )
        self.run.training = begun.process_id
        self.state.save()
        self.screen.stage("train", begun.process_id)
        self.screen.screen.warn(begun.answer.get("warnings", ()))
        warn_of_dataset(self.screen.screen, begun.answer)
        process = self.screen.follow(self.client, begun.process_id)
        if not _is_done(process):
            raise process_ended(process, _AGAIN)
        if text := why_ended(process):
            self.screen.more(f"{text} {how_to_resume(process)}".strip())
        return process

    def choose(self, process: Mapping[str, Any], *, compare: bool) -> None:
        """Compare the checkpoints and take the recommended one, or the last one if there is no recommendation."""
        run = self.run
        saved: Sequence[Mapping[str, Any]] = process["checkpoints"]
        if run.checkpoint is not None and any(one["path"] == run.checkpoint for one in saved):
            self.screen.stage("compare", f"done before: {_chosen(run)}")
            return
        if not saved:
            raise LorapodError(f"The training {process['process_id']} has no checkpoint to download.")
        last = max(saved, key=lambda one: (bool(one.get("final")), one["step"]))
        best, run.why, run.recommended = last, "the last", False
        if not compare:
            run.why = "the last, as --no-compare asks"
        elif len({one["step"] for one in saved}) == 1:
            run.why = "the only one"
        elif recommended := self._recommended(process["process_id"]):
            found = [one for one in saved if one["step"] == recommended["step"]]
            if found:
                best, run.recommended = found[0], True
                run.why = _reasons(recommended)
        run.checkpoint, run.step = best["path"], best["step"]
        self.state.save()
        self.screen.stage("compare", _chosen(run))

    def _recommended(self, process_id: str) -> Mapping[str, Any] | None:
        """Compare the checkpoints; return the best with the reasons of its rank; None if the worker cannot tell."""
        try:
            begun = self.client.start(
                "compare",
                execution_timeout_s=COMPARISON_S,
                process_ids=[process_id],
                idempotency_key=self._key_of("compare"),
            )
        except JobFailed as error:
            if error.retryable:
                raise
            self.screen.screen.warn([f"the checkpoints are not compared: {error}"])
            return None
        self.run.comparison = begun.process_id
        self.state.save()
        self.screen.stage("compare", begun.process_id)
        process = self.screen.follow(self.client, begun.process_id)
        self.screen.screen.warn(process.get("warnings") or ())
        if process["status"] == "interrupted":
            raise process_ended(process, _AGAIN)
        if process["status"] != "completed":
            self.screen.screen.warn([f"the checkpoints are not compared: {why_ended(process)}"])
            return None
        best = process.get("recommended")
        if not best:
            return None
        ranked = [one for one in process.get("ranking") or () if one.get("step") == best["step"]]
        return {**best, **(ranked[0] if ranked else {})}

    def _known(self) -> dict[str, Any] | None:
        """Return the state of the training of an earlier call; None if no training was started, or it was deleted."""
        run = self.run
        if run.training is None:
            return None
        try:
            return self.client.call("process_status", process_id=run.training)
        except NotFoundError:
            self.screen.stage("train", f"{run.training} is gone from the worker; a new training begins")
            run.gone += 1
            run.training = run.comparison = run.checkpoint = None
            self.state.save()
            return None

    def _key_of(self, stage: str) -> str:
        return f"run-{digest_of([self.key, stage, self.run.captioned, self.run.gone])[:40]}"


def _is_done(process: Mapping[str, Any]) -> bool:
    """Return whether a training has ended as it was asked to."""
    return process["status"] == "completed" or (
        process["status"] == "cancelled" and process.get("reason") in _WANTED_ENDS
    )


def _chosen(run: RunProgress) -> str:
    recommended = "recommended: " if run.recommended else ""
    return f"step {run.step} ({recommended}{run.why})"


def _reasons(best: Mapping[str, Any]) -> str:
    return "; ".join(best.get("reasons") or ()) or "the best score"
