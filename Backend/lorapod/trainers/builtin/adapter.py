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
    """A trainer on diffusers and peft in the worker's own Python environment, with one child for each training."""

    name = "builtin"
    capabilities = frozenset({Capability.SAVE, Capability.SAMPLE, Capability.RESUME})
    #: Without a GPU it is slow, but it works.
    needs_gpu = False
    warm = WarmSpec(
        python=(sys.executable,),
        # This folder is on the module search path already.
        cwd=_PACKAGE.parent,
        preload=_PACKAGE / "trainers" / "builtin" / "preload.py",
        # What `preload.py` imports of this package.
        sources=tuple(
            _PACKAGE / name
            for name in (
                "trainers",
                "dataset_reader",
                "datasets",
                "safety",
                "volume",
                "wire",
                "yaml_config",
                "atomic.py",
                "errors.py",
                "folders.py",
                "kinds.py",
                "library_errors.py",
                "weights.py",
            )
        ),
    )

    def __init__(self, *, settings: Settings) -> None:
        """Use the models of the workspace, and those in `MODELS_PATH` of the settings' environment."""
        self._settings = settings

    def probe(self) -> TrainerStatus:
        """Return whether its libraries are installed; they are looked up once, at the first call."""
        return _probe()

    def prepare(self, request: TrainingRequest) -> TrainingPlan:
        """Build and check the config.

        Raises:
            InvalidInput: a key is outside the subset, or a path does not exist; `details` has every problem.
            Unsupported: the libraries are not installed.
        """
        status = self.probe()
        if not status.available:
            raise Unsupported(f"The builtin trainer cannot run here: {status.detail}")
        # Imported here, because pydantic builds the config's models on import, which takes a moment.
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
            warnings=prepared.warnings,
        )

    def launch(self, plan: TrainingPlan, config_path: Path) -> LaunchSpec:
        """Make the control table and return how to start the child.

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
        """Return a reader of one run."""
        return RunReader(plan)

    def control(self, plan: TrainingPlan) -> Control:
        """Return the control of one run."""
        return BuiltinRunControl(plan)

    def outcome(self, plan: TrainingPlan, child: ChildExit) -> Outcome:
        """Return what the exit meant."""
        return judge(RunFolder(path=plan.run_folder, name=plan.name), plan.total_steps, child)


class BuiltinRunControl:
    """A requester of checkpoints and samples from one run, through its control table."""

    def __init__(self, plan: TrainingPlan) -> None:
        """Talk to a run that has been launched."""
        self._table = ControlTable(plan.control_path, plan.process_id)
        self._requested = False
        self._request_written = False

    def request_save(self) -> None:
        """Ask for a checkpoint at the end of the current step."""
        self._requested, self._request_written = True, self._table.request_save()

    def save_pending(self) -> bool:
        """Return whether a requested checkpoint is not written yet; the trainer closes the request when it is."""
        if not self._requested:
            return False
        row = self._table.read()
        if row is None:
            return True
        if row.status not in {"queued", "running"}:
            return False
        if not self._request_written:
            self._request_written = self._table.request_save()
            return True
        return row.save_now

    def request_sample(self) -> None:
        """Ask for sample images at the end of the current step."""
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
