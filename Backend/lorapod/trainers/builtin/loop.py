"""The training loop: steps, and between them checkpoints, sample images, control requests and stops."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator

from lorapod.trainers.builtin.config import LoggingSection, SampleSection, SaveSection, TrainSection
from lorapod.trainers.builtin.console import say, training_bar
from lorapod.trainers.builtin.dataset import Batches
from lorapod.trainers.builtin.interrupt import Interrupt, StopRequested
from lorapod.trainers.builtin.job_row import JobRow
from lorapod.trainers.builtin.loss_log_writer import LossLogWriter
from lorapod.trainers.builtin.objective import Objective
from lorapod.trainers.builtin.validation import Validation


def make_optimizer(train: TrainSection, weights: Sequence[torch.nn.Parameter]) -> torch.optim.Optimizer:
    """Return the optimizer that the config names."""
    kind = torch.optim.AdamW if train.optimizer == "adamw" else torch.optim.Adam
    params = train.optimizer_params
    return kind(weights, lr=train.lr, betas=params.betas, eps=params.eps, weight_decay=params.weight_decay)


@dataclass(kw_only=True)
class Loop:
    """One training, from its first step or the one that it resumes from to its last."""

    name: str
    train: TrainSection
    save: SaveSection
    sample: SampleSection
    logging: LoggingSection
    accelerator: Accelerator
    optimizer: Any
    weights: Sequence[torch.nn.Parameter]
    objective: Objective
    #: None: no image is held back.
    validation: Validation | None
    batches: Batches
    row: JobRow
    loss_log: LossLogWriter | None
    interrupt: Interrupt
    #: Writes a checkpoint of a step.
    save_at: Callable[[int], None]
    #: Makes sample images of a step.
    sample_at: Callable[[int], None]
    #: Steps that earlier runs completed.
    done: int

    def run(self) -> None:
        """Train to the end.

        Raises:
            StoppedBySignal: SIGINT came; no checkpoint was written for it.
            StopRequested: the control table asked for it; no checkpoint was written for it.
            FloatingPointError: the loss is not a number any more.
        """
        self.row.info("Training")
        with training_bar(self.name, total=self.train.steps, done=self.done) as bar:
            for step in range(self.done + 1, self.train.steps + 1):
                loss = self._step(step)
                bar.set_postfix_str(f"lr: {self.train.lr:.1e} loss: {loss:.3e}", refresh=False)
                bar.update()
                self._log(step, loss)
                self.row.progress(step, _speed(bar.format_dict["rate"]))
                self._between(step, last=step == self.train.steps)

    def _step(self, step: int) -> float:
        """Train one step and return its loss."""
        train = self.train
        total = 0.0
        parts = train.gradient_accumulation * train.gradient_accumulation_steps
        for part in range(train.gradient_accumulation):
            number = (step - 1) * train.gradient_accumulation + part
            with self.accelerator.autocast():
                loss = self.objective.loss(self.batches[number], number)
            self.accelerator.backward(loss / parts)
            total += loss.item()
        if not math.isfinite(total):
            raise FloatingPointError(
                f"The loss at step {step} is not a number: lower lr, or train in float32."
            )
        if step % train.gradient_accumulation_steps == 0 or step == train.steps:
            self.accelerator.clip_grad_norm_(self.weights, train.max_grad_norm)
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
        return total / train.gradient_accumulation

    def _log(self, step: int, loss: float) -> None:
        metrics: dict[str, float] = {}
        if step % self.logging.log_every == 0:
            metrics |= {"learning_rate": self.train.lr, "loss/loss": loss}
        if self.validation is not None and self.validation.due(step):
            metrics["val/loss"] = self.validation.loss()
        if self.loss_log is not None and metrics:
            self.loss_log.write(step, metrics)

    def _between(self, step: int, *, last: bool) -> None:
        """Save, sample or stop after a step; `run` of the job makes the final checkpoint and images."""
        requests = self.row.requests()
        if requests.save or (not last and self.save.save_every and step % self.save.save_every == 0):
            self._save(step)
        if requests.stop:
            raise StopRequested
        if requests.sample:
            self.row.sampling()
        if requests.sample or self._is_sample_step(step, last=last):
            self._sample(step)
        if not last:
            self.interrupt.check()

    def _is_sample_step(self, step: int, *, last: bool) -> bool:
        every = self.sample.sample_every
        return not last and every > 0 and step >= self.sample.sample_start_step and step % every == 0

    def _save(self, step: int) -> None:
        self.row.info("Saving model")
        if self.loss_log is not None:
            self.loss_log.flush()
        say(f"\nSaving at step {step}")
        self.save_at(step)
        self.row.saved(step)
        self.row.info("Training")

    def _sample(self, step: int) -> None:
        self.sample_at(step)
        self.row.info("Training")


def _speed(rate: float | None) -> str:
    if not rate:
        return ""
    return f"{rate:.2f} iter/sec" if rate >= 1 else f"{1 / rate:.2f} sec/iter"
