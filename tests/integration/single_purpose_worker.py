"""The single-purpose handler under the real SDK, but for its trainer: a script that starts in a moment."""

from __future__ import annotations

from functools import cache

import handler
from lorapod.testing.trainer import ScriptTrainer
from lorapod.trainers.registry import TrainerRegistry
from lorapod.worker import Worker


@cache
def worker() -> Worker:
    built = Worker.create(handler.settings(), trainers=TrainerRegistry([ScriptTrainer()]))
    built.start()
    return built


handler.worker = worker

if __name__ == "__main__":
    handler.main()
