"""The entry of a RunPod worker on a bare Python: answers at once and prepares the real worker behind it.

It needs the RunPod SDK, the folder `Backend/` beside its own, and a Python with `venv` and `pip`.
"""

from __future__ import annotations

import sys
from pathlib import Path

BACKEND = Path(__file__).resolve().parents[1] / "Backend"
if BACKEND.is_dir():
    sys.path.insert(0, str(BACKEND))

from lorapod.fast.entry import serve  # noqa: E402 - the package can be found only now

if __name__ == "__main__":
    serve()
