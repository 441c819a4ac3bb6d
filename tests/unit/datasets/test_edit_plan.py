"""Plans of edits: what they compute, and that a large dataset costs no more than its size."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import regex

from lorapod.dataset_reader.entry import DatasetEntry
from lorapod.dataset_reader.item import DatasetItem, FoundFile
from lorapod.dataset_reader.reader import DatasetReader
from lorapod.dataset_reader.reading import DatasetReading
from lorapod.datasets.edits.edit import DatasetEdit
from lorapod.datasets.edits.operations import CaptionOperation, OperationKind
from lorapod.deadline import Deadline


def read(folder: Path, count: int) -> DatasetReading:
    folder.mkdir()
    for number in range(count):
        (folder / f"{number:05}.png").touch()
        (folder / f"{number:05}.txt").write_text("a cat")
    return DatasetReader().read(DatasetEntry(folder=folder))


@pytest.mark.parametrize(
    "edit",
    [
        lambda names: DatasetEdit(captions=dict.fromkeys(names, "new")),
        lambda names: DatasetEdit(delete_names=names),
        lambda names: DatasetEdit(rename={name: f"x{name}" for name in names}),
    ],
)
def test_the_cost_of_a_plan_grows_with_the_items_not_with_their_square(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edit: Callable[[list[str]], DatasetEdit]
) -> None:
    reading = read(tmp_path / "cats", 300)
    files = {item.name: item.caption_file for item in reading.items}
    asked = 0

    def count(item: DatasetItem) -> FoundFile | None:
        nonlocal asked
        asked += 1
        return files[item.name]

    monkeypatch.setattr(DatasetItem, "caption_file", property(count), raising=False)
    plan = edit([item.name for item in reading.items]).plan(reading)
    assert len(plan.files) >= 300
    assert asked < 300 * 40


@pytest.mark.parametrize(
    ("find", "text"),
    [
        (".*?", "x"),
        ("a*", "-"),
        (r"(\w+) (\w+)?", r"\2 \1"),
        ("^|$", "|"),
        (r"\b", "_"),
        ("(?i)A", r"\g<0>\n"),
    ],
)
@pytest.mark.parametrize("caption", ["", "a cat", "aaa b aa", "a, b\nc"])
def test_a_regular_expression_replaces_what_its_library_replaces(find: str, text: str, caption: str) -> None:
    operation = CaptionOperation(kind=OperationKind.REGEX, find=find, text=text)
    assert operation.apply(caption, Deadline.after(10)) == regex.sub(find, text, caption)
