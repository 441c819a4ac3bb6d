"""Checks a config's datasets by the names of their files; AI Toolkit finds an empty one only after the model load."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lorapod.dataset_reader.entry import DatasetEntry, PartnerKind
from lorapod.dataset_reader.item import LeftOutCode
from lorapod.dataset_reader.reader import DatasetReader
from lorapod.dataset_reader.reading import DatasetReading
from lorapod.datasets.looks.clips import look_at_clips
from lorapod.datasets.sentences import some
from lorapod.errors import WorkerError
from lorapod.trainers.ai_toolkit.arch import arch_of_process
from lorapod.trainers.ai_toolkit.problems import Problems, shown

_PROCESS = "config.process[0]"

#: Models that learn an edit: from an image and its control image. Without one they learn to ignore it.
_ARCHS_OF_PAIRS = frozenset(
    {
        "boogu_image_edit",
        "flux_kontext",
        "hidream_e1",
        "mageflow_edit",
        "qwen_image_edit",
        "qwen_image_edit_plus",
    }
)
#: Those of them that fail at the first image or sample without a control image, after the model load.
ARCHS_THAT_FAIL_WITHOUT_CONTROL = frozenset({"boogu_image_edit", "qwen_image_edit_plus"})


def check_datasets(process: Mapping[str, Any], problems: Problems) -> None:
    """Add a problem for each dataset that has nothing to train on, and for missing control images."""
    sections = process.get("datasets") or []
    if not sections:
        problems.add(f"{_PROCESS}.datasets", "is required: upload images first and name them in `dataset`")
    arch = arch_of_process(process)
    for number, section in enumerate(sections):
        place = f"{_PROCESS}.datasets[{number}]"
        entry = DatasetEntry.from_config(section, place=place, arch=arch)
        if entry is None:
            problems.add(f"{place}.folder_path", "is required: a folder of the workspace")
            continue
        if any(problems.has(field) for field in _path_fields(section, place)):
            continue  # it leads out of the workspace, or nowhere
        key = "dataset_path" if section.get("dataset_path") else "folder_path"
        if entry.folder.is_file() and key == "folder_path":
            problems.add(f"{place}.{key}", f"{shown(str(entry.folder))!r} is not a folder")
        elif entry.folder.exists():
            _check_content(entry, f"{place}.{key}", arch, problems)
        # A dataset that is still to be fetched may bring its control images.
        if entry.folder.exists() and learns_pairs(arch) and not entry.is_reg and not _has_control(entry):
            problems.add(
                f"{place}.control_path",
                f"is required: {arch} learns an edit from pairs; name the folder with the image before the edit "
                "for each image, under the same name",
            )


def _path_fields(section: Mapping[str, Any], place: str) -> Iterator[str]:
    return (f"{place}.{key}" for key in section if key.endswith("_path") or key.startswith("control_path"))


def learns_pairs(arch: str) -> bool:
    """Return whether a model learns an edit, from images and control images."""
    return arch in _ARCHS_OF_PAIRS


def _has_control(entry: DatasetEntry) -> bool:
    return entry.control_from_same_folder or any(
        folder.kind is PartnerKind.CONTROL for folder in entry.partners
    )


def _check_content(entry: DatasetEntry, field: str, arch: str, problems: Problems) -> None:
    try:
        reading = DatasetReader(names_only=True).read(entry)
    except WorkerError as error:
        problems.refused(field, error)
        return
    if not reading.items:
        problems.add(field, _nothing(reading))
        return
    if learns_pairs(arch) and not entry.is_reg:
        for sentence in _missing_control(reading, every=arch in ARCHS_THAT_FAIL_WITHOUT_CONTROL):
            problems.add(f"{entry.place}.control_path", sentence)


def _nothing(reading: DatasetReading) -> str:
    entry = reading.entry
    what = f"the {'file' if entry.folder.is_file() else 'folder'} {shown(str(entry.folder))!r}"
    clips = [file.name for file in reading.left_out if file.code is LeftOutCode.CLIP]
    if clips:
        advice = " ".join(look_at_clips(entry, clips).warnings).rstrip(".")
        if not advice:
            return f"{what} has only videos ({some(clips)}): set num_frames above 1 to train on them"
        return f"{what} has only videos: {advice}"
    return f"{what} has no file of the types {' '.join(entry.suffixes)}"


def _missing_control(reading: DatasetReading, *, every: bool) -> Iterator[str]:
    """Yield a sentence if no image has a control image, or if one must not be missing."""
    folders = [folder for folder in reading.partners if folder.folder.kind is PartnerKind.CONTROL]
    if not folders:
        return
    bare = [
        item.name
        for item in reading.items
        if not any(partner.file for partner in item.partners if partner.folder.kind is PartnerKind.CONTROL)
    ]
    where = some([shown(str(folder.folder.path)) for folder in folders])
    if len(bare) == len(reading.items):
        yield f"no image has a control image in {where}: it has the name of its image, for example {Path(bare[0]).name}"
    elif bare and every:
        yield f"{len(bare)} of {len(reading.items)} images have no control image in {where}: {some(bare)}"
