"""Vectors that were made before, found by the sha256 of the image or text and the model. No torch is imported here."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lorapod.comparisons.embedding.job import EmbeddingSource

#: One vector, or a row for each.
Vectors = NDArray[np.float32]

#: Changes when images are prepared in another way.
_VERSION = 1


class KeptVectors:
    """The vectors of one model."""

    def __init__(self, source: EmbeddingSource, folder: Path, earlier: Sequence[Path]) -> None:
        """Read what is kept; a file that cannot be read counts as missing."""
        self._path = folder / f"{_model_key(source)}.npz"
        self._vectors: dict[str, Vectors] = {}
        for one in [*earlier, folder]:
            try:
                with np.load(one / self._path.name, allow_pickle=False) as held:
                    self._vectors |= dict(zip(held["digests"].tolist(), held["vectors"], strict=True))
            except (OSError, ValueError, KeyError, EOFError):
                continue

    def get(self, digest: str) -> Vectors | None:
        """Return the vector of an image or a text."""
        return self._vectors.get(digest)

    def add(self, digest: str, vector: Vectors) -> None:
        """Keep one more."""
        self._vectors[digest] = vector

    def save(self, digests: Sequence[str]) -> None:
        """Write the vectors of these images and texts."""
        names = [digest for digest in dict.fromkeys(digests) if digest in self._vectors]
        if not names:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_name(f".{self._path.name}.tmp")
        with temporary.open("wb") as opened:
            np.savez(
                opened, digests=np.array(names), vectors=np.stack([self._vectors[name] for name in names])
            )
            opened.flush()
            os.fsync(opened.fileno())
        temporary.replace(self._path)


def digest_of(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def digest_of_text(text: str) -> str:
    """Return what the vector of a text is kept by."""
    return "text:" + hashlib.sha256(text.encode()).hexdigest()


def _model_key(source: EmbeddingSource) -> str:
    files = sorted(path for path in source.folder.iterdir() if path.suffix in {".json", ".safetensors"})
    # A revision names the files' content.
    state = source.revision or [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in files]
    text = f"{_VERSION} {source.name} {state}"
    return hashlib.sha256(text.encode()).hexdigest()[:24]
