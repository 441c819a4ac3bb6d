"""Find the LoRA that a request wants a training to begin with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorapod.errors import InvalidInput, NotFound
from lorapod.model_paths import ModelPaths
from lorapod.processes.manager import RealProcessManager
from lorapod.records.record import ProcessRecord
from lorapod.trainers.config_settings import read_summary
from lorapod.volume.artifacts import Checkpoint, checkpoints
from lorapod.weights import SUFFIX, is_whole, read_header, step_of
from lorapod.wire.start_from import StartFrom
from lorapod.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class StartLoras:
    """Finds LoRAs by the training that made them, or by their path."""

    processes: RealProcessManager
    workspace: Workspace

    def find(self, asked: StartFrom) -> Mapping[str, Any]:
        """Return the LoRA as an order stores it; blocks.

        Raises:
            NotFound: there is no such training, checkpoint or file.
            InvalidInput: the process is not a training.
            UnsafePath: the path leads outside the workspace.
        """
        if asked.process_id is not None:
            return self._of_process(self.processes.get(asked.process_id), asked.step)
        assert asked.path is not None, "the model has exactly one source"
        path = self._file(asked.path)
        for record in self._makers(path):
            return self._described(record, path)
        return {"path": self.workspace.relative(path)}

    def _file(self, text: str) -> Path:
        self.workspace.safe_path(text)
        paths = ModelPaths(workspace=self.workspace, folders=[self.workspace.models / "loras"])
        for name in (text, f"{text}{SUFFIX}"):
            path = paths.find(name)
            if path is not None and path.is_file():
                return path
        meant = self.workspace.meant(text)
        raise NotFound(
            f"start_from.path: there is no file {text!r} in the workspace"
            f"{f'; did you mean {meant!r}?' if meant else '.'}",
            hint="`lora` lists the LoRAs of the workspace.",
            details=[{"field": "start_from.path", "error": "there is no such file"}],
        )

    def _makers(self, path: Path) -> Sequence[ProcessRecord]:
        """Return the training in whose output folder the file lies, if there is one."""
        if not path.is_relative_to(self.workspace.output):
            return ()
        process_id = path.relative_to(self.workspace.output).parts[0]
        try:
            record = self.processes.get(process_id)
        except NotFound:
            return ()
        return (record,) if record.training is not None else ()

    def _of_process(self, record: ProcessRecord, step: int | None) -> Mapping[str, Any]:
        if record.training is None:
            raise InvalidInput(
                f"start_from.process_id: {record.process_id} is not a training but of type {record.type}.",
                details=[{"field": "start_from.process_id", "error": "is not a training"}],
            )
        found = [
            saved
            for saved in checkpoints(record.run_folder(self.workspace), record.name)
            if is_whole(saved.path)
        ]
        wanted = [saved for saved in found if step is None or _step(saved) == step]
        if not wanted:
            steps = ", ".join(str(_step(saved)) for saved in found)
            what = "no checkpoint" if step is None else f"no checkpoint of step {step}"
            raise NotFound(
                f"start_from: {record.process_id} has {what}.",
                hint=f"It has checkpoints of the steps {steps}."
                if found
                else "Wait for its first checkpoint.",
                details=[{"field": "start_from.step" if step else "start_from", "error": what}],
            )
        return self._described(record, wanted[-1].path)

    def _described(self, record: ProcessRecord, path: Path) -> Mapping[str, Any]:
        summary = read_summary(record.config_path(self.workspace))
        known = {
            "path": self.workspace.relative(path),
            "process_id": record.process_id,
            "step": step_of(read_header(path)),
            "arch": summary.settings.arch if summary else None,
            "alpha": summary.settings.alpha if summary else None,
            "network": summary.network if summary else None,
        }
        return {name: value for name, value in known.items() if value is not None}


def _step(saved: Checkpoint) -> int | None:
    return saved.step if saved.step is not None else step_of(read_header(saved.path))
