"""What the reader of datasets promises: exactly what the trainers train on, the real AI Toolkit among them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.contract.dataset_cases import CASES, DatasetCase
from tests.contract.generated_datasets import generate

from lorapod.dataset_reader.buckets import BucketRule
from lorapod.dataset_reader.entry import DatasetEntry
from lorapod.dataset_reader.reader import DatasetReader
from lorapod.dataset_reader.reading import DatasetReading
from lorapod.datasets.looks.look import look_into
from lorapod.trainers.builtin.config import DatasetSection
from lorapod.trainers.builtin.dataset import find_images

ROOT = os.environ.get("AI_TOOLKIT_PATH", "")
PYTHON = os.environ.get("AI_TOOLKIT_PYTHON", "")

#: Folders of the generator that are read by the real AI Toolkit.
GENERATED = 400

by_name = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def read(section: Mapping[str, Any]) -> DatasetReading:
    entry = DatasetEntry.from_config(section, place="datasets[0]")
    assert entry is not None
    return DatasetReader().read(entry)


def learnt(reading: DatasetReading, case: DatasetCase) -> dict[str, str]:
    """The captions of the items that can be read, by name."""
    damaged = {error["field"] for error in look_into(reading).errors}
    items = [item for item in reading.items if item.name not in damaged]
    return {item.name: "" if item.name in case.undecodable else item.read_caption() for item in items}


@by_name
def test_what_is_learnt(case: DatasetCase, tmp_path: Path) -> None:
    reading = read(case.build(tmp_path))
    assert learnt(reading, case) == case.learnt
    found = {
        item.name: {partner.folder.kind: partner.file.name for partner in item.partners if partner.file}
        for item in reading.items
    }
    for name, partners in case.partners.items():
        expected = {kind: names if isinstance(names, str) else names[-1] for kind, names in partners.items()}
        assert found[name] == expected
    assert {name for name, partners in found.items() if partners} == case.partners.keys()


# A list says itself what belongs to the dataset.
@pytest.mark.parametrize(
    "case", [case for case in CASES if "dataset_path" not in case.section], ids=lambda case: case.name
)
def test_every_file_is_an_item_a_caption_or_named(case: DatasetCase, tmp_path: Path) -> None:
    reading = read(case.build(tmp_path))
    known = {item.name for item in reading.items}
    known |= {file.name for file in reading.caption_files} | {file.name for file in reading.left_out}
    folder = tmp_path / case.folder
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert {name for name in files - known if not name.rpartition("/")[2].startswith("._")} <= {
        ".thumbs/a.png"
    }
    assert all(
        file.name in file.sentence or file.name.rpartition(".")[0] in file.sentence
        for file in reading.left_out
    )


@pytest.mark.parametrize("case", [case for case in CASES if case.builtin], ids=lambda case: case.name)
def test_builtin_trains_on_it(case: DatasetCase, tmp_path: Path) -> None:
    section = DatasetSection.model_validate(case.build(tmp_path))
    found = {
        str(image.path.relative_to(section.folder_path)): image.caption
        for image in find_images([section], None)
    }
    assert found == {
        name: " ".join(text.replace("[trigger]", "").split()) for name, text in case.learnt.items()
    }


def read_by_toolkit(sections: list[dict[str, Any]]) -> list[dict[str, Any]]:
    child = subprocess.run(
        [PYTHON or "python", str(Path(__file__).with_name("toolkit_dataset_child.py"))],
        input=json.dumps(sections),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert child.returncode == 0, child.stderr[-4000:]
    answers: list[dict[str, Any]] = json.loads(child.stdout)
    return answers


@pytest.fixture(scope="module")
def toolkit(tmp_path_factory: pytest.TempPathFactory) -> Callable[[DatasetCase], tuple[Path, dict[str, Any]]]:
    """The real dataset class's own answer to each case."""
    root = tmp_path_factory.mktemp("toolkit")
    folders = {case.name: root / str(number) for number, case in enumerate(CASES)}
    for folder in folders.values():
        folder.mkdir()
    sections = [case.build(folders[case.name]) for case in CASES]
    answers = dict(zip(folders, read_by_toolkit(sections), strict=True))
    return lambda case: (folders[case.name], answers[case.name])


@pytest.mark.ai_toolkit
@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.timeout(300)
@pytest.mark.skipif(
    not Path(ROOT, "run.py").is_file(), reason="no AI Toolkit: set AI_TOOLKIT_PATH to a checkout"
)
@by_name
def test_ai_toolkit_trains_on_it(
    case: DatasetCase, toolkit: Callable[[DatasetCase], tuple[Path, dict[str, Any]]]
) -> None:
    root, answer = toolkit(case)
    assert "error" not in answer
    folder = root if "dataset_path" in case.section else root / case.folder
    items = {str(Path(item["path"]).relative_to(folder)): item for item in answer["items"]}
    assert len(answer["items"]) == len(items) * case.section.get("num_repeats", 1)
    assert {name: item["caption"] or "" for name, item in items.items()} == case.learnt
    assert {name for name, item in items.items() if item["caption_error"]} == case.undecodable
    for name, item in items.items():
        partners = case.partners.get(name, {})
        for kind in ("control", "mask", "inpaint", "unconditional", "clip_image"):
            paths = item[kind] if isinstance(item[kind], list) else [item[kind]] if item[kind] else []
            expected = partners.get(kind, [])
            assert [Path(path).name for path in paths] == (
                [expected] if isinstance(expected, str) else expected
            )


@pytest.mark.ai_toolkit
@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.timeout(300)
@pytest.mark.skipif(
    not Path(ROOT, "run.py").is_file(), reason="no AI Toolkit: set AI_TOOLKIT_PATH to a checkout"
)
def test_ai_toolkit_sees_the_same_sizes_and_buckets(
    toolkit: Callable[[DatasetCase], tuple[Path, dict[str, Any]]], tmp_path: Path
) -> None:
    for number, case in enumerate(CASES):
        root, answer = toolkit(case)
        look = look_into(read(case.build(tmp_path / str(number))))
        sizes = {name: [look.width, look.height] for name, look in look.looks.items()}
        folder = root if "dataset_path" in case.section else root / case.folder
        seen = {str(Path(item["path"]).relative_to(folder)): item for item in answer["items"]}
        seen = {name: item for name, item in seen.items() if not item["video"]}
        assert sizes == {name: item["size"] for name, item in seen.items()}
        rule = BucketRule(resolution=64, step=16)
        buckets = {name: list(rule.bucket(*size)) for name, size in sizes.items()}
        assert buckets == {name: item["bucket"] for name, item in seen.items()}


@pytest.mark.ai_toolkit
@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.timeout(300)
@pytest.mark.skipif(
    not Path(ROOT, "run.py").is_file(), reason="no AI Toolkit: set AI_TOOLKIT_PATH to a checkout"
)
def test_ai_toolkit_agrees_on_generated_folders(tmp_path: Path) -> None:
    sections = []
    for seed in range(GENERATED):
        (tmp_path / str(seed)).mkdir()
        sections.append(generate(tmp_path / str(seed), seed))
    for section, answer in zip(sections, read_by_toolkit(sections), strict=True):
        found = {}
        for item in read(section).items:
            partners: dict[str, list[str]] = {}
            for partner in item.partners:
                if partner.file is not None:
                    partners.setdefault(partner.folder.kind, []).append(str(partner.file.path))
            found[str(item.path)] = (item.read_caption(), partners)
        expected = {}
        for item in answer["items"]:
            partners = {
                kind: item[kind] if isinstance(item[kind], list) else [item[kind]]
                for kind in ("control", "mask", "inpaint", "unconditional")
                if item[kind]
            }
            expected[item["path"]] = (item["caption"], partners)
        assert found == expected, section
