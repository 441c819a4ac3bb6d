"""Likeness, near copies, drift and fit of vectors that are known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from lorapod.comparisons.embedding.child.hashes import HASH_BITS, hash_of, same_picture
from lorapod.comparisons.embedding.child.kept_vectors import KeptVectors
from lorapod.comparisons.embedding.child.measuring import (
    DatasetVectors,
    Floats,
    measure_base_fit,
    measure_drifts,
)
from lorapod.comparisons.embedding.job import CellJob, DriftJob, EmbeddingJob, EmbeddingSource


def at(*degrees: float) -> Floats:
    """Vectors of length 1 in a plane."""
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def hashes(count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Hashes of pictures that have nothing in common."""
    return np.random.default_rng(1).integers(0, 2, (count, HASH_BITS), dtype=np.uint8)


def job(*, drifts: Sequence[DriftJob] = (), base: Sequence[CellJob] = ()) -> EmbeddingJob:
    return EmbeddingJob(
        images=[],
        texts=[],
        datasets=[],
        cells=[],
        drifts=drifts,
        base=base,
        image_model=None,
        text_model=None,
        vectors=Path(),
        earlier=[],
        answer=Path(),
    )


def test_likeness_is_the_mean_and_the_nearest_cosine() -> None:
    dataset = DatasetVectors(at(0, 60), hashes(2))
    mean, nearest, copy = dataset.measure(at(0)[0], hashes(3)[2])
    assert copy is None
    assert [mean, nearest] == pytest.approx([0.75, 1])
    assert dataset.own.tolist() == pytest.approx([0.5, 0.5])


def test_a_near_copy_has_the_hash_and_is_nearer_than_the_datasets_own_neighbours() -> None:
    known = hashes(3)
    dataset = DatasetVectors(at(0, 20, 90), known)
    close = known[0].copy()
    close[:6] ^= 1
    assert dataset.measure(at(5)[0], close)[2] == 0
    # It looks the same, but is no nearer to the image than another image is.
    assert dataset.measure(at(-25)[0], close)[2] is None
    # It is as near as can be, but looks different.
    assert dataset.measure(at(0)[0], 1 - known[0])[2] is None
    far = known[0].copy()
    far[:11] ^= 1
    assert dataset.measure(at(5)[0], far)[2] is None


def test_two_copies_in_the_dataset_hide_no_third() -> None:
    known = hashes(3)
    known[1] = known[0]
    dataset = DatasetVectors(at(0, 0, 40), known)
    assert dataset.measure(at(3)[0], known[0])[2] == 0
    assert dataset.own_nearest[0] == pytest.approx(np.cos(np.radians(40)))


def test_one_image_alone_can_be_copied() -> None:
    dataset = DatasetVectors(at(0), hashes(1))
    assert dataset.measure(at(5)[0], hashes(1)[0])[2] == 0
    assert dataset.measure(at(60)[0], hashes(1)[0])[2] is None
    assert len(dataset.own) == 0


def test_drift_is_the_distance_of_a_pair() -> None:
    pairs = [DriftJob(with_lora=0, base=1), DriftJob(with_lora=0, base=0)]
    assert measure_drifts(job(drifts=pairs), at(0, 60)) == pytest.approx([0.5, 0], abs=1e-6)


def test_base_pictures_are_compared_with_their_own_and_with_other_texts() -> None:
    base = [CellJob(image=0, text=0), CellJob(image=1, text=1), CellJob(image=2)]
    own, other = measure_base_fit(job(base=base), at(0, 90, 45), at(0, 90))
    assert own == pytest.approx([1, 1], abs=1e-6)
    assert other == pytest.approx([0, 0], abs=1e-6)


def picture(path: Path, x: int, *, size: tuple[int, int] = (64, 64), noise: int = 0) -> Path:
    image = Image.new("RGB", (64, 64), "#c0d0e0")
    canvas = ImageDraw.Draw(image)
    canvas.rectangle((0, 40, 64, 64), fill="#306030")
    canvas.ellipse((x, 12, x + 26, 44), fill="#d01818")
    source = np.random.default_rng(3)
    for _ in range(noise):
        image.putpixel((int(source.integers(64)), int(source.integers(64))), (255, 255, 255))
    image.resize(size).save(path)
    return path


def test_a_hash_survives_scaling_and_noise_but_not_another_place(tmp_path: Path) -> None:
    paths = [
        picture(tmp_path / "a.png", 4),
        picture(tmp_path / "b.jpg", 4, size=(200, 200), noise=40),
        picture(tmp_path / "c.png", 34),
    ]
    found = np.stack([hash_of(path, 1.0) for path in paths])
    assert same_picture(found, found).tolist()[0] == [True, True, False]


def test_vectors_are_kept_for_the_model_and_the_content(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    source = EmbeddingSource(name="m", folder=model, revision="1")
    kept = KeptVectors(source, tmp_path / "one", [])
    kept.add("a", at(30)[0])
    kept.add("unused", at(60)[0])
    kept.save(["a", "a"])

    later = KeptVectors(source, tmp_path / "two", [tmp_path / "none", tmp_path / "one"])
    vector = later.get("a")
    assert vector is not None
    assert vector.tolist() == at(30)[0].tolist()
    assert later.get("unused") is None
    other = EmbeddingSource(name="m", folder=model, revision="2")
    assert KeptVectors(other, tmp_path / "two", [tmp_path / "one"]).get("a") is None
    for path in (tmp_path / "one").iterdir():
        path.write_bytes(b"torn")
    assert KeptVectors(source, tmp_path / "two", [tmp_path / "one"]).get("a") is None
