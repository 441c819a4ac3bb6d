"""Measure vectors: likeness to a dataset, fit of a text, drift, near copies. Numpy, no torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lorapod.comparisons.embedding.child.hashes import same_picture
from lorapod.comparisons.embedding.job import CellMeasures, DatasetMeasures, EmbeddingJob

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

#: A near copy has at least this cosine to its original.
COPY_COSINE = 0.85


class DatasetVectors:
    """One dataset: the vectors of its images and their hashes."""

    def __init__(self, vectors: Floats, hashes: NDArray[np.uint8]) -> None:
        """Compare its images with each other."""
        self._vectors = vectors
        self._hashes = hashes
        own = vectors @ vectors.T
        count = len(vectors)
        alone = ~np.eye(count, dtype=bool)
        self.own = _means(own, alone)
        # Two copies of one image say nothing about how near its neighbours are.
        others = alone & ~same_picture(hashes, hashes)
        self.own_nearest = np.where(others, own, -np.inf).max(axis=1)

    def measure(self, vector: Floats, hash_: NDArray[np.uint8]) -> tuple[float, float, int | None]:
        """Return the mean cosine of an image to the dataset, the largest, and which image it is a near copy of."""
        cosines = self._vectors @ vector
        mean, nearest = float(cosines.mean()), float(cosines.max())
        # Nearer to the image than any other picture of the dataset is, and it looks the same.
        copies = same_picture(hash_[None], self._hashes)[0]
        copies &= (cosines > self.own_nearest) & (cosines >= COPY_COSINE)
        if not copies.any():
            return mean, nearest, None
        return mean, nearest, int(np.where(copies, cosines, -np.inf).argmax())


def measure_datasets(
    job: EmbeddingJob, vectors: Floats, hashes: NDArray[np.uint8]
) -> tuple[Sequence[DatasetVectors | None], Sequence[DatasetMeasures]]:
    """Return each dataset's vectors, and how alike its images and the base model's pictures are."""
    datasets: list[DatasetVectors | None] = []
    measures = []
    base_images = list(dict.fromkeys(one.image for one in job.base))
    for images in job.datasets:
        chosen = list(images)
        if not chosen:
            datasets.append(None)
            measures.append(DatasetMeasures(own=[], own_nearest=[], base=[], base_nearest=[]))
            continue
        dataset = DatasetVectors(vectors[chosen], hashes[chosen])
        base = [dataset.measure(vectors[image], hashes[image]) for image in base_images]
        finite = dataset.own_nearest[np.isfinite(dataset.own_nearest)]
        datasets.append(dataset)
        measures.append(
            DatasetMeasures(
                own=dataset.own.tolist(),
                own_nearest=finite.tolist(),
                base=[mean for mean, _, _ in base],
                base_nearest=[nearest for _, nearest, _ in base],
            )
        )
    return datasets, measures


def measure_images(
    job: EmbeddingJob, datasets: Sequence[DatasetVectors | None], vectors: Floats, hashes: NDArray[np.uint8]
) -> Sequence[CellMeasures]:
    """Return the likeness of each cell."""
    measured = []
    for cell in job.cells:
        dataset = datasets[cell.dataset] if cell.dataset is not None else None
        if dataset is None:
            measured.append(CellMeasures())
            continue
        mean, nearest, copy = dataset.measure(vectors[cell.image], hashes[cell.image])
        measured.append(CellMeasures(likeness=mean, nearest=nearest, copy_of=copy))
    return measured


def measure_drifts(job: EmbeddingJob, vectors: Floats) -> Sequence[float]:
    """Return how far each pair is apart: 1 - cosine."""
    return [max(0.0, 1.0 - float(vectors[pair.with_lora] @ vectors[pair.base])) for pair in job.drifts]


def measure_base_fit(
    job: EmbeddingJob, images: Floats, texts: Floats
) -> tuple[Sequence[float], Sequence[float]]:
    """Return the cosines of the base model's pictures to their own texts, and to the other texts."""
    own: list[float] = []
    other: list[float] = []
    used = list(dict.fromkeys(one.text for one in job.base if one.text is not None))
    for one in job.base:
        for text in used if one.text is not None else ():
            (own if text == one.text else other).append(float(images[one.image] @ texts[text]))
    return own, other


def _means(cosines: Floats, chosen: Bools) -> Floats:
    counts = chosen.sum(axis=1)
    totals = np.where(chosen, cosines, 0.0).sum(axis=1)
    means: Floats = (totals[counts > 0] / counts[counts > 0]).astype(np.float32)
    return means
