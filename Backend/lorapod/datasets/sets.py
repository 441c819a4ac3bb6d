"""All datasets of one config: found in it, looked into together, and told as one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from lorapod.dataset_reader.entry import DatasetEntry
from lorapod.datasets.check import DatasetSummary, inspect
from lorapod.datasets.sentences import shortened
from lorapod.workspace import Workspace


def entries_of(config: Mapping[str, Any]) -> Sequence[DatasetEntry]:
    """Return the datasets of a prepared config, whose paths are absolute; nothing if it is of another shape."""
    match config:
        case {"config": {"process": [dict() as process, *_]}}:
            return list(_entries(process))
    return []


def _entries(process: Mapping[str, Any]) -> Iterator[DatasetEntry]:
    model, sections = process.get("model"), process.get("datasets")
    arch = model.get("arch") if isinstance(model, Mapping) else None
    for number, section in enumerate(sections if isinstance(sections, list) else []):
        if isinstance(section, Mapping):
            place = f"config.process[0].datasets[{number}]"
            entry = DatasetEntry.from_config(
                section, place=place, arch=arch if isinstance(arch, str) else None
            )
            if entry is not None:
                yield entry


def distinct(entries: Sequence[DatasetEntry]) -> Sequence[DatasetEntry]:
    """Return the entries that read different files: one folder at several resolutions is one dataset."""
    found: dict[object, DatasetEntry] = {}
    for entry in entries:
        key = replace(entry, place="", resolution=(), num_repeats=1, partners=tuple(entry.partners))
        known = found.get(key)
        sizes = (*known.resolution, *entry.resolution) if known is not None else entry.resolution
        found[key] = replace(known or entry, resolution=tuple(dict.fromkeys(sizes)))
    return list(found.values())


def inspect_all(entries: Sequence[DatasetEntry], workspace: Workspace) -> DatasetSummary:
    """Look into every dataset of a config; see `combined`.

    Raises:
        InvalidInput: a list of images is not one.
        OSError: a folder cannot be read now.
    """
    sets = distinct(entries)
    return combined(sets, [inspect(entry, root=workspace.root) for entry in sets], workspace)


def combined(
    entries: Sequence[DatasetEntry], summaries: Sequence[DatasetSummary], workspace: Workspace
) -> DatasetSummary:
    """Return the totals of several datasets; of the first, `path`. The warnings say what each of them holds."""
    if len(summaries) == 1:
        return summaries[0]
    names = [workspace.relative(summary.path) for summary in summaries]
    pairs = list(zip(names, summaries, strict=True))
    return DatasetSummary(
        path=summaries[0].path,
        images=sum(summary.images for summary in summaries),
        videos=sum(summary.videos for summary in summaries),
        items=sum(summary.items for summary in summaries),
        captions=sum(summary.captions for summary in summaries),
        images_without_caption=[
            f"{name}/{image}" for name, summary in pairs for image in summary.images_without_caption
        ],
        total_bytes=sum(summary.total_bytes for summary in summaries),
        warnings=shortened(
            [
                *(
                    _counts(name, entry, summary)
                    for entry, (name, summary) in zip(entries, pairs, strict=True)
                ),
                *(f"{name}: {warning}" for name, summary in pairs for warning in summary.warnings),
            ]
        ),
        errors=[
            {"field": f"{name}/{error['field']}", "error": f"{name}: {error['error']}"}
            for name, summary in pairs
            for error in summary.errors
        ],
    )


def _counts(name: str, entry: DatasetEntry, summary: DatasetSummary) -> str:
    parts = [f"{summary.images} images"]
    if summary.videos:
        parts.append(f"{summary.videos} videos")
    parts.append(f"{summary.captions} captions")
    if entry.num_repeats > 1:
        parts.append(f"{entry.num_repeats} repeats")
    return f"{name}{' (regularisation)' if entry.is_reg else ''}: {', '.join(parts)}."
