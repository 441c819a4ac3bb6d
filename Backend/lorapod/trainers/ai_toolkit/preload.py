"""Imports what an AI Toolkit training needs; run in a resident process, in its root and under its own Python.

Modules are named as text: this package's environment does not have them.
"""

import os
from importlib import import_module

#: What `run.py` sets before its own imports, which read it.
_ENVIRONMENT = {"NO_ALBUMENTATIONS_UPDATE": "1", "OPENCV_FFMPEG_LOGLEVEL": "-8", "DISABLE_TELEMETRY": "YES"}
_DEFAULTS = {"HF_XET_HIGH_PERFORMANCE": "1", "HF_HUB_DISABLE_XET": "0"}

dotenv = import_module("dotenv")
dotenv.load_dotenv(dotenv.find_dotenv(usecwd=True))
os.environ.update(_ENVIRONMENT)
for name, value in _DEFAULTS.items():
    os.environ.setdefault(name, value)

for module in ("toolkit.job", "toolkit.accelerator", "jobs"):
    import_module(module)

# What any job of type `extension` does first: it imports every extension, and the trainers behind them.
import_module("toolkit.extension").get_all_extensions_process_dict()
