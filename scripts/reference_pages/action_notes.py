"""What the models of an action do not say: the errors that are its own, and the pages that show its use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from lorapod.errors import ErrorCode


@dataclass(frozen=True, kw_only=True)
class ActionNotes:
    """The errors and how-to pages of one action."""

    #: When each error comes, by its code; the errors of every action are not repeated.
    errors: Mapping[ErrorCode, str] = field(default_factory=dict)
    #: Pages below `docs/`, the most useful first.
    guides: tuple[str, ...] = ()


_NO_PROCESS: Final = "There is no process with this id."
_NO_DATASET: Final = "There is no dataset with this name."
_OUTSIDE: Final = "A path leads outside the workspace."
_DISK: Final = "The volume is nearly full."
_BUSY: Final = "A process that has not ended uses it."

_TRAINS: Final = MappingProxyType(
    {
        ErrorCode.NOT_FOUND: "There is no such dataset, preset, or LoRA to begin with.",
        ErrorCode.CONFLICT: "The `idempotency_key` belongs to a training with another request.",
        ErrorCode.UNSAFE_PATH: _OUTSIDE,
        ErrorCode.UNSAFE_URL: "A URL of the dataset or a callback is not public.",
        ErrorCode.INSUFFICIENT_STORAGE: _DISK,
        ErrorCode.INSUFFICIENT_MEMORY: "By rule of thumb, the training needs more memory than the GPU has.",
        ErrorCode.GPU_UNAVAILABLE: "The trainer would train on the processor, and `ALLOW_CPU` is off.",
        ErrorCode.UNSUPPORTED: "This worker has no trainer for the config.",
        ErrorCode.OUT_OF_MEMORY: "The GPU's memory was too small; answered if the job waits for the end.",
    }
)
_FILE: Final = MappingProxyType(
    {
        ErrorCode.NOT_FOUND: "There is no such file, or it belongs to the worker itself.",
        ErrorCode.UNSAFE_PATH: _OUTSIDE,
        ErrorCode.UNSUPPORTED: "`as: url` was asked for, and this endpoint has no object store.",
        ErrorCode.UPSTREAM_ERROR: "The object store does not answer or refuses.",
    }
)
_LORA_TOOL: Final = MappingProxyType(
    {
        ErrorCode.NOT_FOUND: "There is no such LoRA.",
        ErrorCode.UNSAFE_PATH: _OUTSIDE,
        ErrorCode.INSUFFICIENT_STORAGE: _DISK,
        ErrorCode.UNSUPPORTED: "This worker lacks the libraries for it, or the LoRA is of a kind that it cannot change.",
    }
)
_MODELS: Final = "howto/models.md"
_CURATE: Final = "howto/curate.md"
_DATASETS: Final = "howto/datasets.md"
_LARGE: Final = "howto/large-files.md"
_LORA_TOOLS: Final = "howto/merge-and-convert.md"
_HEALTH: Final = "howto/troubleshooting.md"
_LONG: Final = "howto/long-trainings.md"
_RESUME: Final = "howto/cancel-and-resume.md"
_FURTHER: Final = "howto/train-further.md"

NOTES: Final[Mapping[str, ActionNotes]] = MappingProxyType(
    {
        "health": ActionNotes(guides=(_HEALTH, "howto/doctor.md")),
        "ping": ActionNotes(guides=("howto/command-line.md", "tutorial/first-lora.md")),
        "schema": ActionNotes(
            errors={ErrorCode.UNKNOWN_TYPE: "There is no action with this name."},
            guides=("howto/assistant.md",),
        ),
        "list_presets": ActionNotes(guides=("howto/presets.md",)),
        "upload_training_data": ActionNotes(
            errors={
                ErrorCode.CONFLICT: "A part does not continue where the last one ended, or a training reads the dataset.",
                ErrorCode.UNSAFE_ARCHIVE: "A zip has links or absolute paths, or grows too much when it is unpacked.",
                ErrorCode.TOO_LARGE: "A file is larger than this worker accepts.",
                ErrorCode.INSUFFICIENT_STORAGE: _DISK,
            },
            guides=(_DATASETS, _LARGE),
        ),
        "train": ActionNotes(
            errors=_TRAINS, guides=("howto/presets.md", "howto/configs.md", _DATASETS, _LONG, _FURTHER)
        ),
        "train_with_yaml": ActionNotes(errors=_TRAINS, guides=("howto/configs.md", _DATASETS)),
        "train_from_urls": ActionNotes(errors=_TRAINS, guides=("howto/single-purpose-handler.md",)),
        "train_from_supabase": ActionNotes(errors=_TRAINS, guides=("howto/single-purpose-handler.md",)),
        "process_status": ActionNotes(
            errors={ErrorCode.NOT_FOUND: _NO_PROCESS}, guides=("howto/report.md", _LONG)
        ),
        "processes": ActionNotes(guides=("howto/command-line.md", "howto/several-workers.md")),
        "cancel": ActionNotes(
            errors={ErrorCode.NOT_FOUND: _NO_PROCESS, ErrorCode.CONFLICT: "The process has already ended."},
            guides=(_RESUME,),
        ),
        "resume": ActionNotes(
            errors={
                ErrorCode.NOT_FOUND: _NO_PROCESS,
                ErrorCode.CONFLICT: "The process still runs, or there is nothing left to do.",
                ErrorCode.INSUFFICIENT_STORAGE: _DISK,
                ErrorCode.GPU_UNAVAILABLE: "It needs a GPU, and this worker has none that works.",
            },
            guides=(_RESUME, _FURTHER),
        ),
        "save_now": ActionNotes(
            errors={ErrorCode.NOT_FOUND: _NO_PROCESS, ErrorCode.CONFLICT: "The process does not train now."},
            guides=("howto/report.md", _RESUME),
        ),
        "sample_now": ActionNotes(
            errors={ErrorCode.NOT_FOUND: _NO_PROCESS, ErrorCode.CONFLICT: "The process does not train now."},
            guides=("howto/report.md",),
        ),
        "generate": ActionNotes(
            errors={
                ErrorCode.NOT_FOUND: "There is no such model, LoRA or input file.",
                ErrorCode.CONFLICT: "The GPU is busy and `if_busy` is `refuse`, or the generation was cancelled.",
                ErrorCode.UNSAFE_PATH: _OUTSIDE,
                ErrorCode.UNSAFE_URL: "An input's URL is not public.",
                ErrorCode.INSUFFICIENT_MEMORY: "A process that has not ended holds the GPU's memory.",
                ErrorCode.GPU_UNAVAILABLE: "The engine needs a GPU, and this worker has none that works.",
                ErrorCode.UNSUPPORTED: "This worker has no engine that can do it.",
                ErrorCode.OUT_OF_MEMORY: "The GPU's memory was too small.",
                ErrorCode.UPSTREAM_ERROR: "The engine, or a server that an input comes from, failed.",
            },
            guides=("howto/generate.md", "howto/diffusers.md", "howto/comfyui.md", "howto/swarmui.md"),
        ),
        "keep_alive": ActionNotes(guides=(_LONG, "howto/fast-start.md")),
        "logs": ActionNotes(errors={ErrorCode.NOT_FOUND: _NO_PROCESS}, guides=(_HEALTH,)),
        "metrics": ActionNotes(
            errors={
                ErrorCode.NOT_FOUND: _NO_PROCESS,
                ErrorCode.TOO_LARGE: "The curves do not fit one answer: ask for fewer `keys`, or a larger `stride`.",
            },
            guides=("howto/report.md",),
        ),
        "list_files": ActionNotes(
            errors={ErrorCode.NOT_FOUND: "There is no such folder.", ErrorCode.UNSAFE_PATH: _OUTSIDE},
            guides=(_LARGE,),
        ),
        "download_file": ActionNotes(errors=_FILE, guides=(_LARGE,)),
        "download": ActionNotes(errors=_FILE, guides=(_LARGE,)),
        "bulk_download": ActionNotes(errors=_FILE, guides=(_LARGE,)),
        "lora": ActionNotes(guides=(_MODELS, "howto/generate.md")),
        "list_models": ActionNotes(
            errors={
                ErrorCode.UNSUPPORTED: "SwarmUI's models were asked for, and this worker has no SwarmUI."
            },
            guides=(_MODELS,),
        ),
        "describe_model": ActionNotes(
            errors={ErrorCode.NOT_FOUND: "There is no such model.", ErrorCode.UNSAFE_PATH: _OUTSIDE},
            guides=(_MODELS,),
        ),
        "edit_model": ActionNotes(
            errors={
                ErrorCode.NOT_FOUND: "There is no such model.",
                ErrorCode.UNSAFE_PATH: _OUTSIDE,
                ErrorCode.UNSUPPORTED: "SwarmUI cannot store this field.",
            },
            guides=(_MODELS,),
        ),
        "publish_model": ActionNotes(
            errors={
                ErrorCode.NOT_FOUND: "There is no such model.",
                ErrorCode.CONFLICT: "The file is cut off, or still being written.",
                ErrorCode.UNSAFE_PATH: _OUTSIDE,
                ErrorCode.UNSUPPORTED: "`HF_HUB_OFFLINE` is set.",
                ErrorCode.UPSTREAM_ERROR: "The Hub does not answer, or refuses: `HF_TOKEN` is missing or may not write there.",
            },
            guides=(_MODELS,),
        ),
        "download_model": ActionNotes(
            errors={
                ErrorCode.NOT_FOUND: "The source has no such file.",
                ErrorCode.CONFLICT: "A model with this name exists.",
                ErrorCode.UNSAFE_URL: "The URL is not public.",
                ErrorCode.INSUFFICIENT_STORAGE: _DISK,
                ErrorCode.UPSTREAM_ERROR: "The source does not answer, or refuses: a gated model needs `HF_TOKEN`.",
            },
            guides=(_MODELS,),
        ),
        "merge_loras": ActionNotes(errors=_LORA_TOOL, guides=(_LORA_TOOLS,)),
        "resize_lora": ActionNotes(errors=_LORA_TOOL, guides=(_LORA_TOOLS,)),
        "convert_lora": ActionNotes(errors=_LORA_TOOL, guides=(_LORA_TOOLS,)),
        "datasets": ActionNotes(guides=(_CURATE,)),
        "dataset": ActionNotes(errors={ErrorCode.NOT_FOUND: _NO_DATASET}, guides=(_CURATE, _DATASETS)),
        "edit_dataset": ActionNotes(
            errors={ErrorCode.NOT_FOUND: _NO_DATASET, ErrorCode.CONFLICT: _BUSY}, guides=(_CURATE,)
        ),
        "caption_dataset": ActionNotes(
            errors={
                ErrorCode.NOT_FOUND: _NO_DATASET,
                ErrorCode.UNSUPPORTED: "This worker has no captioner.",
                ErrorCode.GPU_UNAVAILABLE: "The captioner needs a GPU, and this worker has none that works.",
            },
            guides=(_CURATE,),
        ),
        "compare": ActionNotes(
            errors={
                ErrorCode.NOT_FOUND: "There is no such training, or it has no such checkpoint.",
                ErrorCode.UNSUPPORTED: "This worker has no engine that can draw with these LoRAs.",
                ErrorCode.GPU_UNAVAILABLE: "The engine needs a GPU, and this worker has none that works.",
            },
            guides=("howto/compare.md", "howto/report.md"),
        ),
        "delete": ActionNotes(
            errors={ErrorCode.NOT_FOUND: "There is nothing with this name.", ErrorCode.CONFLICT: _BUSY},
            guides=("howto/free-space.md",),
        ),
        "disk_usage": ActionNotes(guides=("howto/free-space.md",)),
    }
)
