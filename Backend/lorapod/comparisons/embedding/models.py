"""The models of one scoring: named by the request or the settings, or known ones that are on the machine."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import lorapod
from lorapod.comparisons.embedding.job import EmbeddingSource
from lorapod.comparisons.embedding.source import (
    FILES,
    IMAGE_MODEL,
    TEXT_MODEL,
    HubModel,
    find_cached,
    find_embedding_model,
)
from lorapod.errors import Unsupported, WorkerError
from lorapod.model_paths import ModelPaths
from lorapod.processes.launch import LaunchSpec
from lorapod.processes.task import TaskRun, TaskStopped

BACKEND = Path(lorapod.__file__).parent.parent
CHILD = "lorapod.comparisons.embedding.child"

_LIBRARIES = ("torch", "transformers")
_NO_MODEL = (
    "The cells have no scores: this worker has no embedding model. Send `embedding_model` and `text_image_model`, or set "
    f"EMBEDDING_MODEL and TEXT_IMAGE_MODEL: {IMAGE_MODEL} and {TEXT_MODEL} are downloaded from the Hub then, and a folder in "
    "the workspace is taken as it is. `score: false` asks for none."
)


@dataclass(frozen=True, kw_only=True)
class FoundModels:
    """What there is."""

    #: Compares images.
    image: EmbeddingSource | None = None
    #: Compares images with texts.
    text: EmbeddingSource | None = None
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class EmbeddingModels:
    """Finds the models of a scoring, and downloads those that are named and not here."""

    paths: ModelPaths
    hub_cache: Path
    #: Whether nothing may be downloaded.
    offline: bool
    #: What the settings name.
    embedding_model: str | None = None
    text_image_model: str | None = None

    def image_model(self, name: str | None, *, field: str) -> EmbeddingSource | HubModel:
        """Return the model that compares images: what a request names, else the settings, else a known one that is here.

        Raises:
            Unsupported: there is none, or the libraries that run it are missing.
            NotFound: there is none of that name.
            InvalidInput: what is there cannot be loaded.
        """
        if missing := [library for library in _LIBRARIES if find_spec(library) is None]:
            raise Unsupported(
                f"{field}: {missing[0]} is not installed on this worker, so it cannot compare images.",
                hint="Install lorapod with its `builtin` extra.",
            )
        if (named := name or self.embedding_model) is not None:
            return self._look(field, named)
        if (found := find_cached(IMAGE_MODEL, self.hub_cache)) is not None:
            return found
        raise Unsupported(
            f"{field}: this worker has no embedding model, so it cannot compare images.",
            hint=f"Send `embedding_model: {IMAGE_MODEL}`, which is downloaded from the Hub (350 MB), or a folder in the "
            "workspace; or set EMBEDDING_MODEL.",
            details=[{"field": field, "error": "names no model, and this worker has none"}],
        )

    def find(self, run: TaskRun, embedding_model: str | None, text_image_model: str | None) -> FoundModels:
        """Return the models, with a warning for each that is missing.

        Args:
            run: downloads are its children.
            embedding_model: what the request names.
            text_image_model: what the request names.

        Raises:
            TaskStopped: the process is to end.
            OSError: the child could not be started.
        """
        warnings: list[str] = []
        if missing := [library for library in _LIBRARIES if find_spec(library) is None]:
            said = f"The cells have no scores: {missing[0]} is not installed; install lorapod with its `builtin` extra."
            return FoundModels(warnings=[said])
        named = {
            "embedding_model": embedding_model or self.embedding_model,
            "text_image_model": text_image_model or self.text_image_model,
        }
        defaults = {"embedding_model": IMAGE_MODEL, "text_image_model": TEXT_MODEL}
        found: dict[str, EmbeddingSource | None] = {}
        for field_, default in defaults.items():
            try:
                found[field_] = self._one(run, field_, named[field_], default)
            except WorkerError as error:
                found[field_] = None
                warnings.append(str(error))
        warnings += _missing(found, named)
        return FoundModels(image=found["embedding_model"], text=found["text_image_model"], warnings=warnings)

    def _one(self, run: TaskRun, field_: str, name: str | None, default: str) -> EmbeddingSource | None:
        if name is None:
            return find_cached(default, self.hub_cache)
        found = self._look(field_, name)
        if not isinstance(found, HubModel):
            return found
        run.note(f"downloading {found.name} from the HuggingFace Hub")
        lines: list[str] = []
        argv = (sys.executable, "-m", CHILD, "fetch", found.name, *FILES)
        child = run.run_child(LaunchSpec(argv=argv, cwd=BACKEND), lines.append)
        if child.stop_requested:
            raise TaskStopped
        here = find_cached(found.name, self.hub_cache)
        if child.exit_code != 0 or here is None:
            said = lines[-1] if lines else "it holds no weights as safetensors"
            raise WorkerError(f"{field_}: {found.name} could not be downloaded from the Hub: {said}")
        return here

    def _look(self, field_: str, name: str) -> EmbeddingSource | HubModel:
        return find_embedding_model(
            name, self.paths, field=field_, hub_cache=self.hub_cache, offline=self.offline
        )


def _missing(found: Mapping[str, EmbeddingSource | None], named: Mapping[str, str | None]) -> list[str]:
    """Say how to get a model that no one has named."""
    image = found["embedding_model"] is None and named["embedding_model"] is None
    text = found["text_image_model"] is None and named["text_image_model"] is None
    if image and text and not any(found.values()):
        return [_NO_MODEL]
    said = []
    if image:
        said.append(
            "There is no ranking and no likeness: this worker has no model that compares images. Send "
            f"`embedding_model: {IMAGE_MODEL}` or set EMBEDDING_MODEL."
        )
    if text:
        said.append(
            "There is no prompt_fit: this worker has no model that compares images with texts. Send "
            f"`text_image_model: {TEXT_MODEL}` or set TEXT_IMAGE_MODEL."
        )
    return said
