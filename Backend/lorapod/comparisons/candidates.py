"""The LoRAs that a comparison compares: checkpoints of trainings, and files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lorapod.comparisons.order import ALL, LAST, ComparedLora, Steps
from lorapod.engines.lora_files import FindRecord, base_model_of, lora_file, training_of
from lorapod.errors import InvalidInput, NotFound, WorkerError
from lorapod.records.record import ProcessRecord
from lorapod.records.status import ProcessStatus
from lorapod.volume import artifacts
from lorapod.weights import is_whole, read_header, step_of
from lorapod.wire.variant import variant_label
from lorapod.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One LoRA file."""

    path: Path
    #: As people know it: the training's name, or the file's.
    name: str
    #: The training that wrote it; None if that is not known.
    process_id: str | None = None
    #: Steps that it was trained for, if that is known.
    step: int | None = None
    #: Whether it is the end result of its training.
    final: bool = False
    #: The base model that it was trained on, if that is known.
    base_model: str | None = None
    trigger_word: str | None = None
    #: What is special to its training, if that belongs to a sweep: `rank 8, learning rate 0.0001`.
    variant: str = ""

    @property
    def title(self) -> str:
        """What tells its training from others."""
        return f"{self.name} ({self.variant})" if self.variant else self.name


@dataclass(frozen=True, kw_only=True)
class CandidateFinder:
    """Finds what a request names; reads the disk."""

    workspace: Workspace
    find: FindRecord

    def all(self, loras: Sequence[ComparedLora], steps: Steps) -> Sequence[Candidate]:
        """Return the LoRAs of a request in its order, each once.

        Raises:
            NotFound: a training, a checkpoint or a file is not there.
            InvalidInput: a file is not a LoRA.
            UnsafePath: a path leads outside the workspace.
        """
        found: dict[Path, Candidate] = {}
        for lora in loras:
            for candidate in self._of(lora, steps):
                found.setdefault(candidate.path, candidate)
        return list(found.values())

    def _of(self, lora: ComparedLora, steps: Steps) -> Iterator[Candidate]:
        if lora.path is not None:
            yield self._file(lora_file(lora.path, self.workspace))
            return
        assert lora.process_id is not None
        record = self.find(lora.process_id)
        yield from _chosen(self._checkpoints(record), lora.steps or steps, record)

    def _file(self, path: Path) -> Candidate:
        record = training_of(path, self.workspace, self.find)
        if record is not None:
            for candidate in self._checkpoints(record):
                if candidate.path == path:
                    return candidate
        try:
            header = read_header(path)
        except WorkerError as error:
            raise type(error)(f"{path.name} cannot be compared: {error.message}") from error
        return Candidate(
            path=path,
            name=path.stem,
            process_id=record.process_id if record is not None else None,
            step=step_of(header),
            base_model=base_model_of(record),
            trigger_word=header.trigger_word,
        )

    def _checkpoints(self, record: ProcessRecord) -> Sequence[Candidate]:
        """Return a training's whole checkpoints by step, the final weights last."""
        training = record.training
        if training is None:
            raise InvalidInput(f"{record.process_id} is not a training, so it has no checkpoints to compare.")
        saved = artifacts.checkpoints(record.run_folder(self.workspace), record.name)
        whole = [checkpoint for checkpoint in saved if is_whole(checkpoint.path)]
        final_step = record.progress.step or record.progress.total_steps
        variant = self._variant(record)
        has_final = any(checkpoint.final for checkpoint in whole)
        return [
            Candidate(
                path=checkpoint.path,
                name=record.name,
                process_id=record.process_id,
                step=final_step if checkpoint.final else checkpoint.step,
                final=checkpoint.final,
                base_model=training.base_model,
                trigger_word=training.trigger_word,
                variant=variant,
            )
            for checkpoint in whole
            # The final weights have the same step, and are the same.
            if checkpoint.final or not (has_final and _ended_at(record, checkpoint.step))
        ]

    def _variant(self, record: ProcessRecord) -> str:
        """Return what its sweep says of a training; empty if the sweep is gone."""
        if record.sweep_id is None:
            return ""
        try:
            sweep = self.find(record.sweep_id)
        except WorkerError:
            return ""
        for one in sweep.outcome.get("processes", ()):
            if one.get("process_id") == record.process_id:
                return variant_label(one.get("variant") or {})
        return ""


def _ended_at(record: ProcessRecord, step: int | None) -> bool:
    return record.status is ProcessStatus.COMPLETED and step == record.progress.step


def _chosen(candidates: Sequence[Candidate], steps: Steps, record: ProcessRecord) -> Sequence[Candidate]:
    if not candidates:
        raise NotFound(
            f"The training {record.process_id} has no weights yet.",
            hint="`process_status` shows what it has written.",
        )
    if steps == ALL:
        return candidates
    if isinstance(steps, str):
        last = LAST.fullmatch(steps)
        if last is None:
            raise InvalidInput(f"steps: {steps!r} is neither `all` nor `last:<number>` nor a list of steps.")
        return candidates[-int(last["count"]) :]
    by_step = {candidate.step: candidate for candidate in candidates}
    if missing := [step for step in steps if step not in by_step]:
        known = ", ".join(str(step) for step in by_step)
        raise NotFound(
            f"The training {record.process_id} has no checkpoint of step {missing[0]}.",
            hint=f"It has {known}.",
        )
    return [by_step[step] for step in dict.fromkeys(steps)]
