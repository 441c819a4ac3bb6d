"""The stored form of a process's record: one JSON object, a file for each generation.

```
<process_id>/record.json                      the record of the first generation
<process_id>/taken/<generation>/record.json   the record of every later one; the newest counts
```
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from lorapod.records.record import RECORD_VERSION, ProcessRecord, TrainingDetails

RECORD_NAME = "record.json"
TAKEN_NAME = "taken"

_ADAPTER = TypeAdapter(ProcessRecord)


def record_path(folder: Path, generation: int) -> Path:
    """Return the file of a generation's record, below the folder of its process."""
    return (folder if generation == 1 else folder / TAKEN_NAME / f"{generation:06d}") / RECORD_NAME


def newest_generation(names: Iterable[str]) -> int:
    """Return the newest generation by the names in the folder of the later ones."""
    return max((int(name) for name in names if name.isdecimal()), default=1)


def dump(record: ProcessRecord) -> bytes:
    """Return the stored form: one JSON object."""
    return _ADAPTER.dump_json(record)


def load(data: bytes) -> ProcessRecord:
    """Read a stored form, also one of an earlier version.

    Raises:
        ValueError: it is damaged, or of a newer version.
    """
    try:
        stored = json.loads(data)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(stored, dict):
        raise ValueError("a record is a JSON object")  # noqa: TRY004 - readers expect one kind of error
    version = stored.get("version", 1)
    if not isinstance(version, int):
        raise ValueError("its version is not a number")  # noqa: TRY004 - as above
    if version > RECORD_VERSION:
        raise ValueError(f"record version {version} is newer than {RECORD_VERSION}")
    return _ADAPTER.validate_python(_upgraded(stored) if version < RECORD_VERSION else stored, strict=False)


def _upgraded(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record of version 1 in the present form: there, the fields of all kinds stood side by side."""
    new = dict(stored, version=RECORD_VERSION)
    new["caller_job_id"] = new.pop("job_id", None)
    new["runpod_job_id"] = new.pop("asked_by", None)
    training = {name: new.pop(name) for name in _TRAINING_FIELDS if name in new}
    task: dict[str, Any] = {name: new.pop(name) for name in ("engine", "outcome") if name in new}
    task["restartable"] = new.pop("goes_on", False)
    new["training"] = training if training.get("trainer") else None
    new["task"] = None if training.get("trainer") else task
    return new


_TRAINING_FIELDS = tuple(item.name for item in dataclasses.fields(TrainingDetails))
