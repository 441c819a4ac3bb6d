"""Tables of images, as the HuggingFace Hub stores datasets."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from tests.unit.datasets.library_bench import LibraryBench, incoming, picture

from lorapod.errors import InvalidInput, UnsafeArchive, Unsupported
from lorapod.safety import archives, parquet
from lorapod.safety.unpacking import ArchiveLimits

pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is of the extra `parquet`")

PNG, JPEG = picture(), picture("JPEG")


def table(columns: dict[str, list[Any]]) -> bytes:
    from pyarrow import parquet as files

    file = io.BytesIO()
    files.write_table(pyarrow.table(columns), file)
    return file.getvalue()


def image(content: bytes, path: str | None = None) -> dict[str, Any]:
    return {"bytes": content, "path": path}


def unpacked(folder: Path, content: bytes, limits: ArchiveLimits | None = None) -> dict[str, bytes]:
    (folder / "in").mkdir()
    (folder / "a.parquet").write_bytes(content)
    taken, refused = archives.unpack(folder / "a.parquet", folder / "in", limits=limits or ArchiveLimits())
    assert not refused
    return {file.name: file.path.read_bytes() for file in taken}


def test_images_come_out_with_their_captions(tmp_path: Path) -> None:
    content = table(
        {"image": [image(PNG, "x/cat 1.png"), image(JPEG)], "text": ["one", "two"], "label": [1, 2]}
    )
    assert unpacked(tmp_path, content) == {
        "cat 1.png": PNG,
        "cat 1.txt": b"one",
        "000001.jpg": JPEG,
        "000001.txt": b"two",
    }


def test_names_twice_are_kept_apart_and_rows_without_an_image_left_out(tmp_path: Path) -> None:
    content = table({"img": [image(PNG, "1.png"), image(JPEG, "1.png"), image(b"", "2.png")]})
    assert unpacked(tmp_path, content) == {"1.png": PNG, "000001_1.jpg": JPEG}


def test_plain_bytes_are_images_if_their_column_says_so(tmp_path: Path) -> None:
    assert unpacked(tmp_path, table({"png": [PNG], "mask": [b"x"]})) == {"000000.png": PNG}


def test_pairs_become_targets_and_control_images(bench: LibraryBench) -> None:
    content = table({"source_image": [image(JPEG)], "target_image": [image(PNG)], "prompt": ["red"]})
    receipt = bench.receive(incoming("pairs.parquet", content))
    assert bench.visible().keys() == {
        "000000.png",
        "000000.txt",
        "_controls/000000.jpg",
        "_controls/000000.txt",
    }
    assert (receipt.summary.images, receipt.summary.captions) == (1, 1)


def test_two_shards_keep_all_rows(bench: LibraryBench) -> None:
    shard = table({"image": [image(PNG)], "text": ["one"]})
    bench.receive(incoming("train-0.parquet", shard), incoming("train-1.parquet", shard))
    assert bench.visible().keys() == {
        "000000.png",
        "000000.txt",
        "train-1__000000.png",
        "train-1__000000.txt",
    }


def test_a_table_without_images_is_said(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no column with images; it has question, answer"):
        unpacked(tmp_path, table({"question": ["?"], "answer": ["!"]}))


def test_a_damaged_one_leaves_nothing(tmp_path: Path) -> None:
    content = bytearray(table({"image": [image(PNG)] * 3}))
    content[20:60] = bytes(40)
    with pytest.raises(InvalidInput, match="damaged"):
        unpacked(tmp_path, bytes(content))
    assert list((tmp_path / "in").iterdir()) == []


def test_limits_hold(tmp_path: Path) -> None:
    with pytest.raises(UnsafeArchive, match="3 entries"):
        unpacked(tmp_path, table({"image": [image(PNG)] * 3}), ArchiveLimits(files=2))


def test_a_worker_that_cannot_read_it_says_what_to_do(
    tmp_path: Path, bench: LibraryBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "find_spec", lambda _: None)
    content = table({"image": [image(PNG)]})
    with pytest.raises(Unsupported) as caught:
        unpacked(tmp_path, content)
    assert "extra `parquet`" in caught.value.hint
    with pytest.raises(InvalidInput, match="does not read parquet"):
        bench.receive(incoming("a.parquet", content[:5], offset=0, size_bytes=len(content)))
    assert bench.hidden() == []
