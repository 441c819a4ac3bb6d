"""The real worker under the real SDK, but for its trainer: the script, with a witness."""

from __future__ import annotations

import dataclasses
from functools import cache
from pathlib import Path

import cpuinfo  # type: ignore[import-untyped] # it has no types

import lorapod
import rp_handler
from lorapod.processes.launch import LaunchSpec
from lorapod.settings import Settings
from lorapod.testing.trainer import ScriptTrainer
from lorapod.trainers.port import TrainingPlan
from lorapod.trainers.registry import TrainerRegistry
from lorapod.worker import Worker

# The SDK's import asks the processor for its name, for over a second; no test looks at it.
cpuinfo.get_cpu_info = dict

WITNESS = Path(__file__).with_name("witness.py")


class WitnessedTrainer(ScriptTrainer):
    """The script trainer, whose child writes down what it does."""

    def launch(self, plan: TrainingPlan, config_path: Path) -> LaunchSpec:
        spec = super().launch(plan, config_path)
        program, without_site, _script, *arguments = spec.argv
        package = str(Path(lorapod.__file__).parent.parent)
        return dataclasses.replace(spec, argv=(program, without_site, str(WITNESS), package, *arguments))


@cache
def worker() -> Worker:
    built = Worker.create(Settings(), trainers=TrainerRegistry([WitnessedTrainer()]))
    built.start()
    return built


rp_handler.worker = worker

if __name__ == "__main__":
    rp_handler.main()
