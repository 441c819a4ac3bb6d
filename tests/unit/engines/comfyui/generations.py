from __future__ import annotations

from pathlib import Path
from typing import Any

from lorapod.engines.port import Generation


def generation(**fields: Any) -> Generation:
    """A generation with what it must have."""
    given: dict[str, Any] = {
        "process_id": "generate_000000000001",
        "seed": 7,
        "seed_given": "seed" in fields,
        "folder": Path("/workspace/output/generate_000000000001"),
        "scratch": Path("/scratch/generate_000000000001"),
    }
    return Generation(**{**given, **fields})
