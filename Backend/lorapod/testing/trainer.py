"""A trainer whose child is a script of the standard library."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from lorapod.errors import ErrorCode, InvalidInput
from lorapod.processes.launch import ChildExit, LaunchSpec, WarmSpec
from lorapod.processes.requests import Capability
from lorapod.records.progress import Failure, Observation
from lorapod.records.status import Phase
from lorapod.testing import script_child, script_preload
from lorapod.trainers.port import Outcome, TrainerStatus, TrainingPlan, TrainingRequest

_PROGRESS = re.compile(r".+: (?P<step>\d+)/(?P<total>\d+) loss: (?P<loss>\S+)")
_RESUMED = re.compile(r"resuming from (?P<step>\d+)")


class ScriptTrainer:
    """A `lorapod.trainers.port.Trainer` that runs `script_child` with the config's own keys."""

    name = "script"
    capabilities = frozenset({Capability.SAVE, Capability.RESUME})
    needs_gpu = False
    warm = WarmSpec(
        python=(sys.executable, "-S"),
        cwd=Path(script_preload.__file__).parent,
        preload=Path(script_preload.__file__),
        sources=(Path(script_child.__file__), Path(script_preload.__file__)),
    )

    def probe(self) -> TrainerStatus:
        """Always there."""
        return TrainerStatus(available=True, version="1", detail="a script of the standard library")

    def prepare(self, request: TrainingRequest) -> TrainingPlan:
        """Fill in what the config leaves out.

        Raises:
            InvalidInput: `steps` is not a number.
        """
        steps = request.steps or request.config.get("steps", 5)
        if not isinstance(steps, int):
            raise InvalidInput("config.steps: is not a number.")
        name = str(request.config.get("name") or request.name or "model")
        run_folder = request.training_folder / name
        defaults = {"behaviour": "train", "step_s": 0.01, "save_every": 1000}
        config = {**defaults, **request.config, "name": name, "steps": steps, "run_folder": str(run_folder)}
        return TrainingPlan(
            process_id=request.process_id,
            name=name,
            config=config,
            run_folder=run_folder,
            control_path=request.scratch / "control.db",
            total_steps=steps,
            trigger_word=request.config.get("trigger_word"),
        )

    def launch(self, plan: TrainingPlan, config_path: Path) -> LaunchSpec:
        """Run the script without the site packages, which takes 20 ms."""
        script_config = config_path.with_suffix(".json")
        script_config.write_text(json.dumps(dict(plan.config)))
        script = str(Path(script_child.__file__))
        argv = (sys.executable, "-S", script, str(script_config), str(plan.control_path.parent))
        return LaunchSpec(argv=argv, cwd=plan.run_folder.parent, environment={"SCRIPT": "1"})

    def reader(self, plan: TrainingPlan) -> ScriptReader:
        """Return a reader of the script's lines."""
        del plan
        return ScriptReader()

    def control(self, plan: TrainingPlan) -> ScriptControl:
        """Return a folder of control requests."""
        return ScriptControl(plan.control_path.parent)

    def outcome(self, plan: TrainingPlan, child: ChildExit) -> Outcome:
        """Success is the final file."""
        if (plan.run_folder / f"{plan.name}.safetensors").exists():
            return Outcome(succeeded=True)
        if "Job stopped" in child.last_lines:
            return Outcome(succeeded=False, stopped=True)
        message = next(
            (line for line in reversed(child.last_lines) if line.startswith("Error")), "It ended early."
        )
        return Outcome(succeeded=False, failure=Failure(code=ErrorCode.INTERNAL, message=message))


class ScriptReader:
    """Reads the script's progress."""

    def line(self, text: str) -> Observation | None:
        """Read a step, or the step that a resumed run starts from."""
        if match := _PROGRESS.fullmatch(text):
            return Observation(
                phase=Phase.TRAINING,
                step=int(match["step"]),
                total_steps=int(match["total"]),
                loss=float(match["loss"]),
                repaint=True,
            )
        if match := _RESUMED.fullmatch(text):
            return Observation(resumed_from_step=int(match["step"]))
        return None

    def poll(self) -> Observation | None:
        """Do nothing: the script keeps no files of its own."""
        return None


class ScriptControl:
    """Asks by making an empty file, which the script removes when it has done what it says."""

    def __init__(self, folder: Path) -> None:
        """Leave wishes in `folder`."""
        self._folder = folder

    def request_save(self) -> None:
        """Ask for a checkpoint."""
        (self._folder / "save_now").touch()

    def save_pending(self) -> bool:
        """Return whether a requested save is not written yet."""
        return (self._folder / "save_now").exists()

    def request_sample(self) -> None:
        """Do nothing: the script makes no images."""
