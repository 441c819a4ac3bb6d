"""A trainer's child, followed from its start to its exit: its progress, its limits, and what its exit meant."""

from __future__ import annotations

import signal
from dataclasses import replace

from lorapod.processes.child import Child, Exit
from lorapod.processes.log import Line
from lorapod.processes.requests import Capability, Control
from lorapod.processes.run import ChildHandlers, Run
from lorapod.processes.stopping import OWN_GRACE_S, StopReason, StopRequest
from lorapod.processes.work import Ending
from lorapod.records.progress import Observation
from lorapod.records.record import ProcessRecord
from lorapod.records.status import Phase, ProcessStatus
from lorapod.trainers.early_stop import EarlyStop
from lorapod.trainers.port import Outcome, Trainer, TrainingPlan
from lorapod.trainers.speed import SpeedRecorder

#: How long a training that makes samples or a checkpoint may do so beyond its end, in seconds: it could write none
#: meanwhile.
BUSY_S = 300.0

_BUSY = frozenset({Phase.SAMPLING, Phase.SAVING})


class FollowedTraining:
    """One child of a trainer; for the supervisor's thread."""

    def __init__(
        self,
        run: Run,
        trainer: Trainer,
        plan: TrainingPlan,
        *,
        speed: SpeedRecorder | None = None,
        early_stop: EarlyStop | None = None,
    ) -> None:
        """Follow a child that has just been started; `speed` measures it, `early_stop` may end it."""
        self._early_stop = early_stop
        self._run = run
        self._speed = speed
        self._reader = trainer.reader(plan)
        self._control = trainer.control(plan)
        self._can_save = Capability.SAVE in trainer.capabilities
        self._begun_s = run.context.clock.monotonic()
        training = run.record.training
        self._ran_before_s = training.ran_s if training is not None else 0.0

    def follow(self, child: Child) -> Exit:
        """Follow it to its exit, and stop it at its limits."""
        try:
            return self._run.follow(
                child,
                ChildHandlers(read=self._read, look=self._look, control=self._carry_out, saver=self._saver),
            )
        finally:
            if self._early_stop is not None:
                self._early_stop.close()

    def meaning(self, exit_: Exit, outcome: Outcome) -> Ending:
        """Return what the exit meant."""
        if self._speed is not None:
            self._speed.end(self._here_s)
        changes = {
            "exit_code": exit_.exit_code,
            "signal": None if exit_.signal is None else signal.Signals(exit_.signal).name,
            "training": self._timed(self._run.record).training,
        }
        if outcome.succeeded:
            return Ending(status=ProcessStatus.COMPLETED, changes={**changes, "reason": None})
        if self._run.stop is not None:
            return Ending(status=Ending.stopped(self._run.stop).status, changes=changes)
        if exit_.fenced_after_s is not None:
            return replace(Ending.fenced(exit_.fenced_after_s), changes=changes)
        if outcome.stopped:
            # The platform or a person on the machine interrupted it.
            return Ending(status=ProcessStatus.INTERRUPTED, changes=changes)
        return Ending(status=ProcessStatus.FAILED, failure=outcome.failure, changes=changes)

    @property
    def _here_s(self) -> float:
        """Seconds that the trainer has run in this run."""
        return self._run.context.clock.monotonic() - self._begun_s

    @property
    def _ran_s(self) -> float:
        """Seconds that the trainer has run, earlier runs included."""
        return self._ran_before_s + self._here_s

    def _timed(self, record: ProcessRecord) -> ProcessRecord:
        if record.training is None:
            return record
        training = replace(record.training, ran_s=round(self._ran_s, 1))
        if self._speed is not None:
            training = replace(training, forecast=self._speed.forecast(training.forecast))
        return record.changed(training=training)

    def _observe(self, seen: Observation | None) -> None:
        if seen is not None and (record := self._run.record.observed(seen)) is not self._run.record:
            if self._speed is not None:
                self._speed.observe(seen, record.progress.step, self._here_s)
            # With the progress, so that another worker knows it if this one dies.
            self._run.ledger.change(self._timed(record))

    def _read(self, line: Line) -> None:
        seen = self._reader.line(line.text)
        self._run.log.write(line.text, repaint=line.repainted or (seen is not None and seen.repaint))
        self._observe(seen)

    def _look(self) -> None:
        self._observe(self._reader.poll())
        self._check_limits()
        self._check_improvement()

    def _check_improvement(self) -> None:
        run, watch, training = self._run, self._early_stop, self._run.record.training
        if watch is None or training is None or run.stop is not None:
            return
        over = watch.over()
        told = [run.context.redactor.text(text) for text in watch.warnings()]
        for text in told:
            run.log.note(text)
        now = replace(training, warnings=(*training.warnings, *told))
        if watch.found is not None:
            now = replace(now, best_step=watch.found.best_step)
        # Meanwhile it could write no checkpoint.
        if over and not (run.record.phase in _BUSY and watch.over_for_s < BUSY_S):
            now = replace(now, ended_because=watch.why())
        if now != training:
            run.ledger.change(run.record.changed(training=now))
        if now.ended_because is not None:
            run.log.note(now.ended_because)
            run.request_stop(StopRequest(reason=StopReason.NO_IMPROVEMENT, save=True, grace_s=OWN_GRACE_S))

    def _check_limits(self) -> None:
        run = self._run
        limits, now = run.record.limits, run.context.clock.now()
        if run.stop is not None or limits is None or not limits.reached(self._ran_s, now):
            return
        if run.record.phase in _BUSY:
            beyond = self._ran_s - BUSY_S
            late = limits.until is not None and (now - limits.until).total_seconds() >= BUSY_S
            if not late and not (limits.duration_s is not None and beyond >= limits.duration_s):
                return
        run.log.note("the limit of its request is reached")
        run.request_stop(StopRequest(reason=StopReason.LIMIT, save=True, grace_s=OWN_GRACE_S))

    def _carry_out(self, capability: Capability) -> None:
        match capability:
            case Capability.SAVE:
                self._control.request_save()
            case Capability.SAMPLE:
                self._control.request_sample()

    def _saver(self) -> Control | None:
        return self._control if self._can_save and self._run.record.phase is Phase.TRAINING else None
