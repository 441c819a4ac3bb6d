"""The real worker under the real SDK, but for its trainer and its engine: stand-ins that start in a moment."""

from __future__ import annotations

from functools import cache

import rp_handler
from lorapod.engines.registry import EngineRegistry
from lorapod.settings import Settings
from lorapod.testing.engine import FakeEngine
from lorapod.testing.trainer import ScriptTrainer
from lorapod.trainers.registry import TrainerRegistry
from lorapod.worker import Worker


@cache
def worker() -> Worker:
    built = Worker.create(
        Settings(), trainers=TrainerRegistry([ScriptTrainer()]), engines=EngineRegistry([FakeEngine()])
    )
    built.start()
    return built


rp_handler.worker = worker

if __name__ == "__main__":
    rp_handler.main()
