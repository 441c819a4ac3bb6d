"""The builtin trainer behind the trainer port. No torch is imported here."""

from __future__ import annotations

import sys
from functools import cache
from importlib import metadata
from pathlib import Path

import lorapod
from lorapod.errors import Unsupported
from lorapod.processes.launch import ChildExit, LaunchSpec, WarmSpec
from lorapod.processes.requests import Capability, Control
from lorapod.settings import Settings
from lorapod.trainers.builtin.outcome import judge
from lorapod.trainers.builtin.run_folder import RunFolder
from lorapod.trainers.control_table import ControlTable
from lorapod.trainers.port import Outcome, Reader, TrainerStatus, TrainingPlan, TrainingRequest
from lorapod.trainers.run_reader import RunReader

_LIBRARIES = ("torch", "diffusers", "transformers", "peft", "accelerate")
_PACKAGE = Path(lorapod.__file__).parent


class BuiltinTrainer:
    """Trains with diffusers and peft in this worker's own Python environment, one child for each training."""

    name = "builtin"
    capabilities = frozenset({Capability.SAVE, Capability.SAMPLE, Capability.RESUME})
    #: It is meant to run anywhere; on a processor it is only slow.
    needs_gpu = False
    warm = WarmSpec(
        python=(sys.executable,),
        # A folder in which modules are looked for anyway.
        cwd=_PACKAGE.parent,
        preload=_PACKAGE / "trainers" / "builtin" / "preload.py",
        # What `preload.py` leads to in this package.
        sources=tuple(
            _PACKAGE / name for name in ("trainers", "safety", "atomic.py", "errors.py", "weights.py")
        ),
    )

    def __init__(self, *, settings: Settings) -> None:
        """Models may also lie where the settings' environment says (`MODELS_PATH`)."""
        self._settings = settings

    def probe(self) -> TrainerStatus:
        """Whether its libraries are installed; looked up once, for they do not change while the worker runs."""
        return _probe()

    def prepare(self, request: TrainingRequest) -> TrainingPlan:
        """Build and check the config.

        Raises:
            InvalidInput: it is outside the subset, or a path in it leads nowhere; every problem is in `details`.
            Unsupported: the libraries are not installed.
        """
        status = self.probe()
        if not status.available:
            raise Unsupported(f"The builtin trainer cannot run here: {status.detail}")
        # The config's models are built on import: a worker that trains nothing need not wait for them.
        from lorapod.trainers.builtin.preparation import ConfigPreparation

        models = self._settings.trainer_environment().get("MODELS_PATH")
        prepared = ConfigPreparation(request=request, model_folders=[Path(models)] if models else []).run()
        process, name = prepared.config.process, prepared.config.name
        return TrainingPlan(
            process_id=request.process_id,
            name=name,
            config=prepared.fields,
            run_folder=request.training_folder / name,
            control_path=request.scratch / ConfigPreparation.CONTROL_FILE,
            total_steps=process.train.steps,
            trigger_word=process.trigger_word,
            base_model=process.model.name_or_path,
        )

    def launch(self, plan: TrainingPlan, config_path: Path) -> LaunchSpec:
        """How to start the child; makes its control table.

        Raises:
            OSError: the control table cannot be written.
        """
        ControlTable.create(plan.control_path, plan.process_id, name=plan.name, total_steps=plan.total_steps)
        return LaunchSpec(
            argv=(sys.executable, "-m", __package__, str(config_path)),
            cwd=config_path.parent,
            environment={"AITK_JOB_ID": plan.process_id},
        )

    def reader(self, plan: TrainingPlan) -> Reader:
        """Follows one run."""
        return RunReader(plan)

    def control(self, plan: TrainingPlan) -> Control:
        """Talks to one run."""
        return BuiltinRunControl(plan)

    def outcome(self, plan: TrainingPlan, child: ChildExit) -> Outcome:
        """What the exit meant."""
        return judge(RunFolder(path=plan.run_folder, name=plan.name), plan.total_steps, child)


class BuiltinRunControl:
    """Asks one run for checkpoints and samples through its control table."""

    def __init__(self, plan: TrainingPlan) -> None:
        """Talk to a run that has been launched."""
        self._table = ControlTable(plan.control_path, plan.process_id)
        self._wished = False
        self._written_down = False

    def request_save(self) -> None:
        """Ask for a checkpoint at the end of the present step."""
        self._wished, self._written_down = True, self._table.request_save()

    def save_pending(self) -> bool:
        """Whether a requested checkpoint is not yet written; the trainer takes the wish back when it is."""
        if not self._wished:
            return False
        row = self._table.read()
        if row is None:
            return True
        if row.status not in {"queued", "running"}:
            return False
        if not self._written_down:
            self._written_down = self._table.request_save()
            return True
        return row.save_now

    def request_sample(self) -> None:
        """Ask for sample pictures at the end of the present step."""
        self._table.request_sample()


@cache
def _probe() -> TrainerStatus:
    versions: list[str] = []
    for library in _LIBRARIES:
        try:
            versions.append(f"{library} {metadata.version(library)}")
        except metadata.PackageNotFoundError:
            return TrainerStatus(
                available=False,
                detail=f"{library} is not installed; install lorapod with its `builtin` extra.",
            )
    return TrainerStatus(available=True, version=lorapod.__version__, detail=", ".join(versions))
