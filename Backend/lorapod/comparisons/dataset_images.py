"""The images that the trainings of a comparison learnt from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lorapod.comparisons.candidates import Candidate
from lorapod.dataset_reader.entry import DatasetEntry
from lorapod.dataset_reader.item import ItemKind
from lorapod.dataset_reader.reader import DatasetReader
from lorapod.engines.lora_files import FindRecord
from lorapod.errors import WorkerError
from lorapod.workspace import Workspace


def dataset_images(candidates: Sequence[Candidate], find: FindRecord, workspace: Workspace) -> Sequence[Path]:
    """Return the images of the datasets of all trainings, each dataset once; none of those that are gone."""
    folders: dict[Path, None] = {}
    for process_id in dict.fromkeys(candidate.process_id for candidate in candidates):
        if process_id is None:
            continue
        try:
            path = find(process_id).dataset.get("path")
            if isinstance(path, str):
                folders[workspace.safe_path(path)] = None
        except WorkerError:
            continue
    images: list[Path] = []
    for folder in folders:
        try:
            reading = DatasetReader(workspace.root).read(DatasetEntry(folder=folder))
        except OSError:
            continue
        images += [item.path for item in reading.items if item.kind is ItemKind.IMAGE]
    return images
