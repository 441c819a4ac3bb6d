"""What goes in comes out: as an image with its caption, or named as refused."""

from __future__ import annotations

import io
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.unit.datasets.library_bench import LibraryBench, incoming, packed, tarred
from tests.unit.datasets.test_fetching import Place

from lorapod.wire.dataset import DatasetRef

FOLDERS = ["", "a/", "b/", "a/b/", "10_cat/", "2_dog/", "target/", "control/", "mask/", "images/", "x y/"]
STEMS = ["1", "2", "A", "a", ".1", "_DSC1", "it's me", "photo, red", "é", "e\u0301", "🐈", "1_2", "n" * 210]
IMAGES = [".png", ".PNG"]
CAPTIONS = [".txt", ".TXT", ".caption"]


@cache
def image(number: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 4), (number % 256, number // 256, 7)).save(file, "PNG")
    return file.getvalue()


@st.composite
def trees(draw: st.DrawFn) -> Mapping[str, bytes]:
    """Files by their paths; every image has a content of its own, and so has every caption."""
    stems = draw(
        st.lists(
            st.tuples(
                st.sampled_from(FOLDERS), st.sampled_from(STEMS), st.sampled_from(IMAGES), st.booleans()
            ),
            min_size=1,
            max_size=8,
            unique=True,
        )
    )
    files: dict[str, bytes] = {}
    for number, (folder, stem, suffix, captioned) in enumerate(stems):
        files[f"{folder}{stem}{suffix}"] = image(number)
        if captioned:
            files[f"{folder}{stem}{draw(st.sampled_from(CAPTIONS))}"] = f"caption {number}".encode()
    return files


def images_in(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in folder.rglob("*"):
        if path.suffix.lower() == ".png":
            yield path.relative_to(folder).as_posix(), path.read_bytes()


def assert_nothing_is_lost(files: Mapping[str, bytes], folder: Path) -> None:
    images = {path: content for path, content in files.items() if path.lower().endswith(".png")}
    found = dict(images_in(folder))
    assert Counter(found.values()) == Counter(images.values())
    captions = [content for path, content in files.items() if path not in images]
    kept = Counter(path.read_bytes() for path in folder.rglob("*") if path.suffix in {".txt", ".caption"})
    assert not set(captions) - set(kept)
    names = {content: name for name, content in found.items()}
    for path, content in files.items():
        beside = [f"{path.rpartition('.')[0]}{suffix}" for suffix in IMAGES]
        own = [image for image in beside if image in images]
        rivals = [
            other
            for other in files
            if other not in images and other.rpartition(".")[0] == path.rpartition(".")[0]
        ]
        if path not in images and len(own) == 1 and len(rivals) == 1:
            text = (folder / names[images[own[0]]]).with_suffix(".txt")
            assert text.read_bytes() == content, path


@pytest.mark.parametrize("pack", [packed, tarred])
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(files=trees())
def test_of_an_archive(pack: object, files: Mapping[str, bytes]) -> None:
    assert callable(pack)
    with tempfile.TemporaryDirectory() as folder:
        bench = LibraryBench(Path(folder))
        receipt = bench.receive(incoming("a.zip" if pack is packed else "a.tgz", pack(files)))
        assert receipt.rejected == []
        assert_nothing_is_lost(files, bench.folder)
        assert all(PurePosixPath(name).name == Path(name).name for name in receipt.renamed.values())


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(files=trees(), more=trees())
def test_of_a_bucket_with_an_archive_twice(files: Mapping[str, bytes], more: Mapping[str, bytes]) -> None:
    ref = DatasetRef.model_validate({"s3": {"prefix": "cats"}})
    inner = {
        path: content + b"\n" if path.lower().endswith(".png") else content for path, content in more.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder))
        place.bucket.objects = {**files, "more.zip": packed(inner)}
        for _ in range(2):  # the second time out of the first dataset
            found = dict(images_in(place.fetch(ref).path))
            assert Counter(found.values()) == Counter(
                content
                for tree in (files, inner)
                for path, content in tree.items()
                if path.lower().endswith(".png")
            )
