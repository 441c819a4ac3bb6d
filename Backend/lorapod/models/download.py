"""Download models into the workspace: fetch into a hidden folder, check, then move into place in one step.

```
models/.incoming/<process_id>/model        what has come so far; the next run of the same process continues it
models/<folder of its kind>/<name>         the model, once it is whole and checked
```
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorapod import weights
from lorapod.cached_models import CachedModels, ModelPlace
from lorapod.errors import (
    InvalidInput,
    Unsupported,
    UpstreamError,
    WorkerError,
)
from lorapod.files.digests import DigestBook
from lorapod.kinds import suffix_of
from lorapod.models.card import edit_card
from lorapod.models.kinds import ModelKind
from lorapod.models.order import ModelOrder
from lorapod.models.placing import INCOMING, name_parts, place, taken, target_of
from lorapod.models.sources import HubFile, WebFile, parse_source, request_for
from lorapod.settings import Settings
from lorapod.workspace import Workspace

if TYPE_CHECKING:
    from lorapod.safety.fetch import Fetched

#: Downloads that were not continued for so long are removed.
ABANDONED_S = 7 * 86_400

#: Formats that may hold code which runs when they are loaded, and one that the worker cannot check.
OTHER_SUFFIXES = frozenset({".ckpt", ".pt", ".pth", ".bin", ".gguf"})

MODEL_SUFFIXES = OTHER_SUFFIXES | {weights.SUFFIX}

#: Called with the bytes received, and the size of the whole if it is known.
Report = Callable[[int, int | None], None]


class ModelDownloads:
    """Every method but `fetch` blocks for a moment at most; any thread may call them."""

    def __init__(self, *, workspace: Workspace, settings: Settings, digests: DigestBook) -> None:
        """Put models under `workspace.models`."""
        self._workspace = workspace
        self._settings = settings
        self._digests = digests

    def check(self, wanted: ModelOrder) -> Path | None:
        """Return where the model will be, or None if that depends on the server or the content; ask no server.

        Raises:
            InvalidInput: the source or the name is not valid.
            UnsafeUrl: the URL may not be fetched.
            Unsupported: it is of a format that this endpoint does not take, or the Hub is never asked.
            Conflict: there is a model of that name.
        """
        source = parse_source(wanted.source, allow_private=self._settings.allow_private_urls)
        if isinstance(source, HubFile):
            from lorapod.storage.hub_access import HubAccess

            HubAccess.from_settings(self._settings)
        if wanted.name is not None:
            name_parts(wanted.name)
        told = source.file_name or ""
        settled = suffix_of(wanted.name or told) in MODEL_SUFFIXES or suffix_of(told) in MODEL_SUFFIXES
        # Else the name, or its suffix, comes from the server.
        return self._place(self._name(wanted, source, None), wanted) if settled else None

    def warnings(self, wanted: ModelOrder) -> Sequence[str]:
        """Return a warning if the model is here already, where trainings and generations read it by its HuggingFace id."""
        source = parse_source(wanted.source, allow_private=True)
        if not isinstance(source, HubFile):
            return []
        models, name = CachedModels.of(self._settings), source.repo_id
        found = models.find(name)
        if name == models.wanted or (found is not None and found.place is ModelPlace.RUNPOD_CACHE):
            where = "RunPod keeps the model ready on this endpoint's hosts, unbilled"
        elif found is not None:
            where = "the model is in the volume's HuggingFace cache already"
        else:
            return []
        return [f"This is a second copy of {name}: {where}. `train` and `generate` take it as {name!r}."]

    async def fetch(self, wanted: ModelOrder, process_id: str, report: Report) -> Mapping[str, Any]:
        """Fetch it, check it, and put it in its place; what is known of it then, as JSON values.

        If it is cancelled or breaks off, what has come stays, and the next call for the same process continues.

        Raises:
            WorkerError: it cannot be downloaded, or has the wrong content.
            OSError: the disk failed.
        """
        folder = self._workspace.models / INCOMING / process_id
        self._sweep(folder)
        folder.mkdir(parents=True, exist_ok=True)
        source = parse_source(wanted.source, allow_private=self._settings.allow_private_urls)
        try:
            target, fetched = await self._fetch(wanted, source, folder / "model", report)
            path, kind = self._shelve(folder / "model", target, wanted, fetched)
        except WorkerError as error:
            # Keep what another try needs; remove what came whole and is wrong.
            if not error.retryable or (folder / "model").exists():
                shutil.rmtree(folder, ignore_errors=True)
            raise
        shutil.rmtree(folder, ignore_errors=True)
        # The model is there, whatever becomes of its card.
        with contextlib.suppress(OSError):
            edit_card(path, {"source": source.shown})
        return {
            "path": self._workspace.relative(path),
            "name": path.name,
            "kind": kind.value,
            "size_bytes": fetched.size_bytes,
            "sha256": fetched.sha256,
            "source": source.shown,
        }

    async def _fetch(
        self, wanted: ModelOrder, source: HubFile | WebFile, part: Path, report: Report
    ) -> tuple[str, Fetched]:
        """Fetch the file; return its name and what came."""
        # Imported here: a worker that fetches no model needs no HTTP client.
        import asyncio

        from lorapod.safety.fetch import Fetcher, FetchLimits

        request = await asyncio.to_thread(request_for, source, self._settings)
        names: list[str] = []

        def named(told: str | None) -> None:
            names[:] = [self._name(wanted, source, told)]
            self._place(names[0], wanted)

        limits = FetchLimits(
            max_bytes=self._settings.max_model_bytes, keep_free_bytes=self._settings.disk_min_free_bytes
        )
        async with Fetcher(allow_private=request.allow_private, limits=limits) as fetcher:
            fetched = await fetcher.fetch(
                request.address, part, headers=request.headers, progress=report, named=named
            )
        assert fetched is not None, "no former version was named"
        expected = (
            wanted.sha256 or (request.facts.sha256 if request.facts else None) or fetched.sha256
        ).lower()
        if fetched.sha256 != expected:
            raise UpstreamError(
                f"What came from {source.shown} has the sha256 {fetched.sha256}, expected was {expected}.",
                hint="Nothing was kept. Check the source and the digest, then try again.",
            )
        return names[0], fetched

    def _name(self, wanted: ModelOrder, source: HubFile | WebFile, told: str | None) -> str:
        """Return the file's name: as requested, else as the server says, else as the URL ends."""
        known = source.file_name if isinstance(source, HubFile) else told or source.file_name
        if wanted.name is None:
            if known is None:
                raise InvalidInput(f"{source.shown} has no file name.", hint="Give a `name`.")
            # A server's name is only a suggestion: no folders, no hidden files.
            return known.replace("\\", "/").rpartition("/")[2].lstrip(".-_ ")
        if suffix_of(wanted.name) in MODEL_SUFFIXES:
            return wanted.name
        return wanted.name + suffix_of(known or "")

    def _place(self, name: str, wanted: ModelOrder) -> Path | None:
        """Return where a model of that name goes; None if its kind depends on its content."""
        parts = name_parts(name)
        self._check_suffix(suffix_of(parts[-1]))
        if wanted.kind is None:
            return None
        target = target_of(self._workspace, wanted.kind, parts)
        if target.exists() and not wanted.overwrite:
            raise taken(
                self._workspace, target, hint="Give another `name`, or `overwrite: true` to replace it."
            )
        return target

    def _check_suffix(self, suffix: str) -> None:
        if suffix == weights.SUFFIX:
            return
        if suffix not in OTHER_SUFFIXES:
            raise InvalidInput(
                f"A file that ends in {suffix!r} is not a model.",
                hint="Give a `name` that ends in .safetensors.",
            )
        if not self._settings.allow_pickled_models:
            raise Unsupported(
                f"This endpoint fetches safetensors files only, not {suffix} files: those can run code when loaded.",
                hint="Look for a .safetensors version, or set ALLOW_PICKLED_MODELS=true.",
            )

    def _shelve(self, part: Path, name: str, wanted: ModelOrder, fetched: Fetched) -> tuple[Path, ModelKind]:
        kind = wanted.kind or ModelKind.CHECKPOINT
        if suffix_of(name) == weights.SUFFIX:
            header = weights.read_header(part)
            if not header.whole:
                raise UpstreamError("What came is a safetensors file that is cut off; nothing was kept.")
            if wanted.kind is None and header.is_lora:
                kind = ModelKind.LORA
        target = target_of(self._workspace, kind, name_parts(name))
        place(self._workspace, part, target, overwrite=wanted.overwrite)
        self._digests.learn(target, fetched.sha256)
        return target, kind

    def _sweep(self, mine: Path) -> None:
        with contextlib.suppress(OSError):
            for folder in mine.parent.iterdir():
                newest = max(
                    (path.stat().st_mtime for path in folder.iterdir()), default=folder.stat().st_mtime
                )
                if folder != mine and time.time() - newest > ABANDONED_S:
                    shutil.rmtree(folder, ignore_errors=True)
