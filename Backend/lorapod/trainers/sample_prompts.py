"""What the samples of a training are made from, as AI Toolkit's config format says it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def sample_prompts(config: Mapping[str, Any]) -> Sequence[str]:
    """The prompts of a config that a trainer has accepted, in the order in which samples are numbered."""
    match config:
        case {"config": {"process": [{"sample": dict(sample), **process}, *_]}}:
            trigger = str(process.get("trigger_word") or "[trigger]")
        case _:
            return ()
    listed = sample.get("samples") or sample.get("prompts") or ()
    texts = [entry.get("prompt", "") if isinstance(entry, dict) else entry for entry in listed]
    return [str(text).replace("[trigger]", trigger) for text in texts]
