"""Imports what an AI Toolkit training needs; it runs in the template process, in AI Toolkit's root and Python.

Modules are named as text, because this package's environment does not have them.
"""

import os
from importlib import import_module

#: What `run.py` sets before its own imports, because they read it.
_ENVIRONMENT = {"NO_ALBUMENTATIONS_UPDATE": "1", "OPENCV_FFMPEG_LOGLEVEL": "-8", "DISABLE_TELEMETRY": "YES"}
_DEFAULTS = {"HF_XET_HIGH_PERFORMANCE": "1", "HF_HUB_DISABLE_XET": "0"}

dotenv = import_module("dotenv")
dotenv.load_dotenv(dotenv.find_dotenv(usecwd=True))
os.environ.update(_ENVIRONMENT)
for name, value in _DEFAULTS.items():
    os.environ.setdefault(name, value)

for module in ("toolkit.job", "toolkit.accelerator", "jobs"):
    import_module(module)

# Every job of type `extension` does this first: it imports all extensions with their trainers.
import_module("toolkit.extension").get_all_extensions_process_dict()
