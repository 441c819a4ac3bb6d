"""What the contract suite `tests/contract/test_dataset_reader.py` does not say of the reader."""

from __future__ import annotations

import os
import string
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lorapod.dataset_reader.entry import DatasetEntry
from lorapod.dataset_reader.item import LeftOutCode
from lorapod.dataset_reader.reader import DatasetReader
from lorapod.dataset_reader.reading import DatasetReading
from lorapod.errors import InvalidInput


def read(folder: Path, **fields: object) -> DatasetReading:
    return DatasetReader().read(DatasetEntry(folder=folder, num_frames=1, **fields))  # type: ignore[arg-type]


def codes(reading: DatasetReading) -> dict[str, LeftOutCode]:
    return {file.name: file.code for file in reading.left_out}


@pytest.mark.parametrize(
    ("name", "code"),
    [
        (".a.png", LeftOutCode.HIDDEN),
        ("b.heic", LeftOutCode.UNREAD_FORMAT),
        ("b.mp4", LeftOutCode.CLIP),
        ("b.mp3", LeftOutCode.OTHER),
        ("b.pdf", LeftOutCode.OTHER),
        ("b.json", LeftOutCode.OTHER),
        ("b", LeftOutCode.OTHER),
        ("b.txt", LeftOutCode.CAPTION_WITHOUT_IMAGE),
        ("metadata.csv", LeftOutCode.SPARE_CAPTION),
        ("deep/metadata.jsonl", LeftOutCode.SPARE_CAPTION),
        ("_controls/a.png", LeftOutCode.CONTROLS),
    ],
)
def test_what_is_left_out_is_named_with_its_reason(tmp_path: Path, name: str, code: LeftOutCode) -> None:
    for file in ("a.png", "a.txt", name):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    reading = read(tmp_path)
    assert [item.name for item in reading.items] == ["a.png"]
    assert codes(reading) == {name: code}


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("a.caption", LeftOutCode.CAPTION_NOT_READ),
        ("a.json", LeftOutCode.CAPTION_NOT_READ),
        ("a.TXT", LeftOutCode.CAPTION_NOT_READ),
        ("A.txt", LeftOutCode.CAPTION_NOT_READ),
        ("metadata.csv", LeftOutCode.CAPTION_TABLE),
    ],
)
def test_a_caption_that_is_not_read_is_spare_only_if_another_one_is_read(
    tmp_path: Path, name: str, code: LeftOutCode
) -> None:
    for file in ("a.png", name):
        (tmp_path / file).touch()
    assert codes(read(tmp_path)) == {name: code}
    (tmp_path / "a.txt").touch()
    assert codes(read(tmp_path)) == {name: LeftOutCode.SPARE_CAPTION}


@pytest.mark.parametrize("name", [".DS_Store", "Thumbs.db", "desktop.ini", ".aitk_size.json", "._a.png",
                                  "_latent_cache/a.safetensors", ".thumbs/a.jpg"])  # fmt: skip
def test_what_others_put_there_is_not_worth_a_word(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    reading = read(tmp_path)
    assert (reading.items, reading.left_out) == ([], [])


def test_names_alone_ask_for_no_sizes(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    entry = DatasetEntry(folder=tmp_path)
    (whole,), (names,) = DatasetReader().read(entry).items, DatasetReader(names_only=True).read(entry).items
    assert (whole.file.size_bytes, names.file.size_bytes) == (1, 0)
    assert whole.name == names.name


def test_a_list_says_what_of_it_is_not_there(tmp_path: Path) -> None:
    root = tmp_path / "workspace"
    root.mkdir()
    (root / "a.png").touch()
    (tmp_path / "secret.png").touch()
    (root / "list.json").write_text(
        f'{{"{root}/a.png": {{"caption": "a cat"}}, "{root}/b.png": {{}}, "c.png": {{}}, "{tmp_path}/secret.png": {{}}}}'
    )
    reading = DatasetReader(root).read(DatasetEntry(folder=root / "list.json"))
    assert [(item.name, item.read_caption()) for item in reading.items] == [("a.png", "a cat")]
    assert codes(reading) == {
        f"{root}/b.png": LeftOutCode.LISTED_MISSING,
        "c.png": LeftOutCode.LISTED_MISSING,
        f"{tmp_path}/secret.png": LeftOutCode.LINK_OUTSIDE,
    }


@pytest.mark.parametrize("content", ["[]", "5", "no json", "[" * 100_000])
def test_what_is_no_list_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "list.json").write_text(content)
    with pytest.raises(InvalidInput, match=r"list\.json is not"):
        read(tmp_path / "list.json")


names = st.builds(
    lambda folder, stem, suffix: folder + stem + suffix,
    st.sampled_from(["", "", "one/", "one/_controls/", "_controls/", ".hidden/", "_latent_cache/"]),
    st.text(alphabet=string.ascii_letters + "._-# é", min_size=1, max_size=3).filter(
        lambda stem: stem.strip(".")
    ),
    st.sampled_from(
        [".png", ".JPG", ".txt", ".TXT", ".caption", ".json", ".mp4", ".mp3", ".gif", ".pdf", ""]
    ),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=st.sets(names, max_size=12), caption_ext=st.sampled_from([".txt", ".caption", ".json", ".TXT"]))
def test_files_in_are_items_captions_or_named(
    tmp_path_factory: pytest.TempPathFactory, files: set[str], caption_ext: str
) -> None:
    folder = tmp_path_factory.mktemp("data")
    kept = set()
    for name in files:
        path = folder / name
        if not path.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            kept.add(name)
    reading = read(folder, caption_ext=caption_ext)
    items = [item.name for item in reading.items]
    captions = [file.name for file in reading.caption_files]
    left_out = [file.name for file in reading.left_out]
    told = items + captions + left_out
    assert len(told) == len(set(told)), "each file is told of once"
    silent = kept - set(told)
    assert all(name.startswith(".hidden/") or os.path.basename(name).startswith("._")  # noqa: PTH119
               for name in silent)  # fmt: skip
    assert all(name in file.sentence or name.rpartition(".")[0] in file.sentence
               for name, file in zip(left_out, reading.left_out, strict=True))  # fmt: skip
