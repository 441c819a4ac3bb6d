"""The real worker on a machine whose GPU driver does what the first argument says: `lost`, `hung`, `absent`."""

from __future__ import annotations

import sys
import threading
from functools import partial
from typing import Any

import pynvml

import rp_handler
from lorapod import serverless
from lorapod.telemetry import Telemetry, fitness


def _lost(*_: Any) -> None:
    raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)


def _hung(*_: Any) -> None:
    threading.Event().wait()


def _absent(*_: Any) -> None:
    raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)


if __name__ == "__main__":
    pynvml.nvmlInit = {"lost": _lost, "hung": _hung, "absent": _absent}[sys.argv.pop(1)]
    vars(serverless)["check_fitness"] = partial(fitness.check_fitness, patience_s=1)
    vars(Telemetry.gpus)["__kwdefaults__"] = {"wait_s": 1}
    rp_handler.main()
