"""What a person calls the processes that actions start."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

#: By the type of a process, with which its id begins.
_NOUNS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "train": "training",
        "sweep": "sweep",
        "generate": "generation",
        "caption": "captioning",
        "compare": "comparison",
        "download": "download",
        "merge": "merge of LoRAs",
        "resize": "resizing of a LoRA",
        "convert": "conversion of a LoRA",
    }
)


def noun_of(process_id: str) -> str:
    """Return what a process is, by its id; `process` if it is of a type that this client does not know."""
    return _NOUNS.get(process_id.rpartition("_")[0], "process")


def noun_of_request(request: Mapping[str, Any]) -> str:
    """Return what a request starts."""
    if request.get("variants"):
        return _NOUNS["sweep"]
    if isinstance(process_id := request.get("process_id"), str) and request.get("type") == "resume":
        return noun_of(process_id)
    # The name of an action is the type of its process, and more words.
    return _NOUNS.get(str(request.get("type")).partition("_")[0], "process")
