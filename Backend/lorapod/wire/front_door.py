"""Which endpoint answers a request: the CPU endpoint on the same volume (the front door), or the one with GPUs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

#: What needs the volume and a processor only.
FRONT_DOOR_ACTIONS: Final = frozenset(
    {
        "schema",
        # Data and files
        "upload_training_data",
        "datasets",
        "dataset",
        "edit_dataset",
        "list_files",
        "download_file",
        "download",
        "bulk_download",
        "delete",
        "disk_usage",
        # Processes of other workers
        "process_status",
        "processes",
        "logs",
        "metrics",
        "cancel",
        "save_now",
        "sample_now",
        # Models on the volume
        "lora",
        "list_models",
        "describe_model",
        "edit_model",
        "publish_model",
        "download_model",
    }
)

#: What needs a GPU, a trainer or torch, or asks about the worker that has them.
GPU_ACTIONS: Final = frozenset(
    {
        "health",
        "ping",
        "keep_alive",
        "list_presets",
        "train",
        "train_with_yaml",
        "train_from_urls",
        "train_from_supabase",
        "resume",
        "generate",
        "compare",
        "caption_dataset",
        "merge_loras",
        "resize_lora",
        "convert_lora",
    }
)

#: What a front door's worker refuses. The other GPU actions ask about the worker that answers, or (`resume`) are judged
#: by the process.
REFUSED_ACTIONS: Final = GPU_ACTIONS - {"health", "ping", "keep_alive", "list_presets", "resume"}

#: The types of processes that a front door's worker runs.
FRONT_DOOR_PROCESSES: Final = frozenset({"download"})


def is_for_front_door(request: Mapping[str, Any]) -> bool:
    """Return whether the front door answers an input; one without a `type` of ours goes to the GPUs.

    Models that SwarmUI keeps itself are known only where it runs.
    """
    named = str(request.get("type"))
    if named == "resume":
        return str(request.get("process_id")).partition("_")[0] in FRONT_DOOR_PROCESSES
    return named in FRONT_DOOR_ACTIONS and request.get("engine") != "swarmui"
