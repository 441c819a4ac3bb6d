"""AI Toolkit behind the trainer port."""

from __future__ import annotations

from pathlib import Path

from lorapod.atomic import write_atomically
from lorapod.processes.launch import ChildExit, LaunchSpec, WarmSpec
from lorapod.processes.requests import Capability, Control
from lorapod.settings import Settings
from lorapod.trainers.ai_toolkit.combinations import check_combinations
from lorapod.trainers.ai_toolkit.config import (
    CONTROL_FILE,
    DEFAULT_STEPS,
    WORKER_KEYS,
    prepare_config,
    process_of,
)
from lorapod.trainers.ai_toolkit.conformance import Conformance
from lorapod.trainers.ai_toolkit.control import ToolkitRunControl
from lorapod.trainers.ai_toolkit.find import configured_installation, needed_installation
from lorapod.trainers.ai_toolkit.hold_out import config_without, hold_out
from lorapod.trainers.ai_toolkit.hub_push import HubPush
from lorapod.trainers.ai_toolkit.jobs import check_job, is_training
from lorapod.trainers.ai_toolkit.launch import launch_job
from lorapod.trainers.ai_toolkit.model_families import check_family
from lorapod.trainers.ai_toolkit.outcome import judge
from lorapod.trainers.ai_toolkit.paths import worker_rules
from lorapod.trainers.ai_toolkit.problems import Problems
from lorapod.trainers.ai_toolkit.prompts import check_prompts
from lorapod.trainers.ai_toolkit.schema import toolkit_schema
from lorapod.trainers.ai_toolkit.validate import check_text, validate_config
from lorapod.trainers.ai_toolkit.vocabulary import vocabulary
from lorapod.trainers.port import Outcome, Reader, TrainerStatus, TrainingPlan, TrainingRequest
from lorapod.trainers.run_reader import RunReader
from lorapod.trainers.start_weights import begin_with
from lorapod.workspace import Workspace
from lorapod.yaml_config.text import dump_config

#: A path, not a module, because it runs under AI Toolkit's Python.
_PRELOAD = Path(__file__).with_name("preload.py")

#: What its `run.py` imports from, and the file from which it reads variables.
_SOURCES = ("run.py", "version.py", ".env", "toolkit", "jobs", "extensions", "extensions_built_in")


class AIToolkitTrainer:
    """A trainer that runs an installed, unmodified AI Toolkit, with one child for each training."""

    name = "ai-toolkit"
    capabilities = frozenset({Capability.SAVE, Capability.SAMPLE, Capability.RESUME})
    #: Without a GPU it would silently train on the CPU, a hundred times slower.
    needs_gpu = True

    def __init__(self, *, settings: Settings, workspace: Workspace) -> None:
        """Use the installation that the settings name; it may appear and disappear while the worker runs."""
        self._settings = settings
        self._workspace = workspace
        self._hub_push = HubPush(settings)

    def probe(self) -> TrainerStatus:
        """Return whether an installation is there, after two or three looks at the file system."""
        installation, detail = configured_installation(self._settings, self._workspace)
        if installation is None:
            return TrainerStatus(available=False, detail=detail)
        described = toolkit_schema().version
        if installation.version is not None and installation.version != described:
            detail = (
                f"{detail} This worker knows the configs of version {described}: send strict: false for keys that "
                "another version has."
            )
        return TrainerStatus(available=True, version=installation.version, detail=detail)

    def prepare(self, request: TrainingRequest) -> TrainingPlan:
        """Build and check the config; the error's `details` has every problem that was found.

        Raises:
            InvalidInput: AI Toolkit would refuse the config, or train something else than the config says.
            Unsupported: AI Toolkit is not installed here.
        """
        installation = needed_installation(self._settings, self._workspace)
        problems, schema = Problems(root=request.workspace), toolkit_schema()
        config = prepare_config(request, problems) if is_training(request.config, schema, problems) else None
        if config is None:
            problems.raise_any()
            raise AssertionError("a config of a wrong shape is always reported as a problem")
        process = process_of(config)
        check_text(config, problems)
        known = vocabulary(installation.root, installation.version)
        check_job(config, schema, known.process_types, problems)
        Conformance(schema, problems, strict=request.strict).check(
            config, installed_types=known.process_types, set_by_worker=WORKER_KEYS
        )
        rules = worker_rules(
            self._settings,
            self._workspace,
            installation.root,
            awaited=None if request.dataset_ready else request.dataset,
        )
        rules.settle(process, "config.process[0]", problems)
        validate_config(config, known, problems)
        check_combinations(process, schema, problems)
        check_prompts(process, schema, problems)
        self._hub_push.check(process.get("save") or {}, problems)
        check_family(process.get("model") or {}, "config.process[0].model", problems)
        trigger, model = process.get("trigger_word"), process.get("model") or {}
        problems.raise_any()
        if request.held_out is not None and request.dataset_ready:
            hold_out(process, request.held_out, trigger if isinstance(trigger, str) else None, problems)
            problems.raise_any()
        if request.start is not None:
            begin_with(config, request.start)
        name: str = config["config"]["name"]
        return TrainingPlan(
            process_id=request.process_id,
            name=name,
            config=config,
            run_folder=request.training_folder / process.get("name", name),
            control_path=request.scratch / CONTROL_FILE,
            total_steps=(process.get("train") or {}).get("steps", DEFAULT_STEPS),
            trigger_word=trigger.replace("[name]", name) if isinstance(trigger, str) else None,
            base_model=model.get("name_or_path"),
            holds_out=request.held_out is not None,
            warnings=tuple(problems.warnings),
        )

    def launch(self, plan: TrainingPlan, config_path: Path) -> LaunchSpec:
        """Make the control table and return how to start the child.

        Raises:
            Unsupported: AI Toolkit is not installed any more.
            OSError: the control table cannot be written.
        """
        installation = needed_installation(self._settings, self._workspace)
        config = config_without(plan)
        if config is not None:
            config_path = plan.control_path.with_name("config.yaml")
            write_atomically(config_path, dump_config(config).encode())
        return launch_job(
            installation,
            config_path,
            control_path=plan.control_path,
            process_id=plan.process_id,
            name=plan.name,
            total_steps=plan.total_steps,
        )

    def reader(self, plan: TrainingPlan) -> Reader:
        """Return a reader of one run."""
        return RunReader(plan)

    def control(self, plan: TrainingPlan) -> Control:
        """Return the control of one run."""
        return ToolkitRunControl(plan)

    def outcome(self, plan: TrainingPlan, child: ChildExit) -> Outcome:
        """Return what the exit meant."""
        return judge(plan.run_folder, plan.name, child)

    @property
    def warm(self) -> WarmSpec | None:
        """Return how to keep it imported in a template process, or None if it is not installed."""
        installation, _ = configured_installation(self._settings, self._workspace)
        if installation is None:
            return None
        return WarmSpec(
            python=(str(installation.python),),
            cwd=installation.root,
            preload=_PRELOAD,
            sources=tuple(installation.root / name for name in _SOURCES),
        )
