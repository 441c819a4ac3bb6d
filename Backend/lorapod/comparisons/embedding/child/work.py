"""One run of the embedding child: load the models, embed what is new, measure."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from lorapod.comparisons.embedding.child.hashes import HASH_BITS, hash_of
from lorapod.comparisons.embedding.child.kept_vectors import KeptVectors, digest_of, digest_of_text
from lorapod.comparisons.embedding.child.measuring import (
    Floats,
    measure_base_fit,
    measure_datasets,
    measure_drifts,
    measure_images,
)
from lorapod.comparisons.embedding.job import (
    PROGRESS,
    CellMeasures,
    EmbeddingAnswer,
    EmbeddingJob,
    EmbeddingSource,
)

if TYPE_CHECKING:
    from lorapod.comparisons.embedding.child.models import EmbeddingModel


def run(job: EmbeddingJob) -> EmbeddingAnswer:
    """Measure everything for which there is a model.

    Raises:
        WorkerError: a model cannot be used.
        OSError: an image cannot be read.
    """
    digests = [digest_of(path) for path in job.images]
    broken = _broken(job)
    job = replace(
        job,
        # The trainer leaves them out too.
        datasets=[[image for image in dataset if image not in broken] for dataset in job.datasets],
    )
    answer = EmbeddingAnswer(cells=[CellMeasures() for _ in job.cells])
    if job.image_model is not None:
        answer = _measure_images(job, job.image_model, digests, broken)
    if job.text_model is not None and job.texts:
        answer = _measure_texts(job, job.text_model, digests, answer)
    return answer


def _measure_images(
    job: EmbeddingJob, source: EmbeddingSource, digests: Sequence[str], broken: AbstractSet[int]
) -> EmbeddingAnswer:
    every = [image for image in range(len(job.images)) if image not in broken]
    embedding = _Embedding(job, source, digests)
    vectors = embedding.images(every)
    embedding.save()
    with Image.open(job.images[job.cells[0].image]) as first:
        aspect = first.width / first.height
    nothing = np.zeros(HASH_BITS, dtype=np.uint8)
    hashes = np.stack(
        [nothing if image in broken else hash_of(path, aspect) for image, path in enumerate(job.images)]
    )
    datasets, measures = measure_datasets(job, vectors, hashes)
    return EmbeddingAnswer(
        cells=measure_images(job, datasets, vectors, hashes),
        datasets=measures,
        drifts=measure_drifts(job, vectors),
        embedded=embedding.done,
    )


def _measure_texts(
    job: EmbeddingJob, source: EmbeddingSource, digests: Sequence[str], answer: EmbeddingAnswer
) -> EmbeddingAnswer:
    shown = dict.fromkeys(one.image for one in [*job.cells, *job.base] if one.text is not None)
    embedding = _Embedding(job, source, digests)
    images = embedding.images(list(shown))
    texts = embedding.texts()
    embedding.save()
    own, other = measure_base_fit(job, images, texts)
    cells = [
        replace(measured, prompt_fit=float(images[cell.image] @ texts[cell.text]))
        if cell.text is not None
        else measured
        for cell, measured in zip(job.cells, answer.cells, strict=True)
    ]
    return replace(
        answer,
        cells=cells,
        base_matched=own,
        base_other=other,
        embedded=answer.embedded + embedding.done,
    )


class _Embedding:
    """The vectors of one model; it is loaded if one is missing."""

    def __init__(self, job: EmbeddingJob, source: EmbeddingSource, digests: Sequence[str]) -> None:
        self._job = job
        self._digests = digests
        self._source = source
        self._kept = KeptVectors(source, job.vectors, job.earlier)
        self._used: list[str] = []
        #: Images that were not embedded before.
        self.done = 0

    @cached_property
    def _model(self) -> EmbeddingModel:
        # Imported here: if every vector is kept, nothing needs torch.
        from lorapod.comparisons.embedding.child.models import EmbeddingModel

        return EmbeddingModel(self._source)

    def images(self, images: Sequence[int]) -> Floats:
        """Return a row for each image of the job; those that are not asked for are zero."""
        new = [image for image in images if self._kept.get(self._digests[image]) is None]
        for vectors in self._model.images([self._job.images[image] for image in new]) if new else ():
            for vector in vectors:
                self._kept.add(self._digests[new[self.done]], vector)
                self.done += 1
            sys.stdout.write(f"{PROGRESS}{self.done} of {len(new)}\n")
            sys.stdout.flush()
        vectors = self._rows([self._digests[image] for image in images])
        table = np.zeros((len(self._job.images), vectors.shape[1]), dtype=np.float32)
        table[list(images)] = vectors
        return table

    def texts(self) -> Floats:
        """Return a row for each text of the job."""
        digests = [digest_of_text(text) for text in self._job.texts]
        if any(self._kept.get(digest) is None for digest in digests):
            for digest, vector in zip(digests, self._model.texts(self._job.texts), strict=True):
                self._kept.add(digest, vector)
        return self._rows(digests)

    def save(self) -> None:
        """Keep what was used."""
        self._kept.save(self._used)

    def _rows(self, digests: Sequence[str]) -> Floats:
        self._used += digests
        return np.stack([vector for digest in digests if (vector := self._kept.get(digest)) is not None])


def _broken(job: EmbeddingJob) -> AbstractSet[int]:
    """Return the images of the datasets that cannot be read."""
    broken = set()
    for image in {image for dataset in job.datasets for image in dataset}:
        try:
            hash_of(job.images[image], 1.0)
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            sys.stdout.write(f"{job.images[image].name} is left out: {error}\n")
            broken.add(image)
    return broken
