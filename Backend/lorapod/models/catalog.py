"""WorkspaceModels: lists, describes and edits the models of the workspace; a `lorapod.models.port.ModelCatalog`."""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lorapod import weights
from lorapod.errors import Conflict, InvalidInput, NotFound, WorkerError
from lorapod.files.digests import DigestBook
from lorapod.folders import files_below
from lorapod.models.card import card_path, edit_card, read_card
from lorapod.models.find import FoundModel, find_models
from lorapod.models.headers import HeaderBook, HeaderNotes
from lorapod.models.kinds import ModelKind
from lorapod.models.port import ModelPage
from lorapod.models.training_notes import SHOWN_NOTES, noted, shown_metadata, training_notes
from lorapod.wire.catalog import ModelCardView, ModelView
from lorapod.workspace import Workspace

#: A page ends here even below its limit: cards can be long, and an answer must fit one reply.
PAGE_MAX_BYTES = 2_000_000

#: Models of one name that an error lists.
SHOWN_MATCHES = 20


class WorkspaceModels:
    """Every method blocks on the disk; any thread may call it, and several workers may use one workspace."""

    def __init__(self, *, workspace: Workspace, digests: DigestBook) -> None:
        """Look at nothing yet."""
        self._workspace = workspace
        self._digests = digests
        self._headers = HeaderBook(workspace=workspace)

    def page(self, *, kind: ModelKind | None, limit: int, cursor: str | None) -> ModelPage:
        """Return one page of the models, sorted by path.

        Only files of the page are opened, and those whose folder does not show their kind.

        Raises:
            InvalidInput: the cursor does not come from this list.
        """
        after = _opened(cursor)
        views: list[ModelView] = []
        last = ""
        page_bytes = 0
        try:
            for found in find_models(self._workspace):
                if after is not None and found.path.parts <= (*self._workspace.root.parts, *after):
                    continue
                if kind is not None and found.kind not in {None, kind}:
                    continue
                # A file may go between its listing and this look.
                with contextlib.suppress(FileNotFoundError):
                    view = self._view(found)
                    if kind is not None and view.kind != kind:
                        continue
                    if len(views) == limit or page_bytes > PAGE_MAX_BYTES:
                        return ModelPage(models=views, next_cursor=_sealed(last))
                    views.append(view)
                    page_bytes += len(view.model_dump_json())
                    last = self._workspace.relative(found.path)
            return ModelPage(models=views)
        finally:
            self._headers.keep()

    def find(self, model: str, kind: ModelKind | None) -> FoundModel:
        """Return the model that a caller means by a path or by a name.

        Raises:
            NotFound: it does not exist.
            Conflict: there are several of that name.
            UnsafePath: a path leads outside the workspace.
        """
        path = self._workspace.safe_path(model)
        found = find_models(self._workspace)
        at_path = next((one for one in found if one.path == path), None)
        if at_path is None and path.exists():
            # Behind a link, perhaps.
            at_path = next((one for one in found if one.path.resolve() == path), None)
        if at_path is not None:
            return at_path
        named = [
            one
            for one in found
            if model in {one.name, one.path.name, one.path.stem, f"{one.name}{one.path.suffix}"}
            and (kind is None or self._kind(one) == kind)
        ]
        exact = [one for one in named if model in {one.name, f"{one.name}{one.path.suffix}"}] or named
        if len(exact) == 1:
            return exact[0]
        shown = model if len(model) <= 80 else f"{model[:77]}..."
        if not exact:
            raise NotFound(f"There is no model {shown!r}.", hint="`list_models` shows what there is.")
        paths = [self._workspace.relative(one.path) for one in exact[:SHOWN_MATCHES]]
        raise Conflict(
            f"There are {len(exact)} models {shown!r}.",
            hint=f"Give the path of one: {', '.join(paths)}.",
            details=[{"path": path} for path in paths],
        )

    def describe(self, model: str, *, kind: ModelKind | None, digest: bool) -> ModelCardView:
        """Return all that is known of a model; with `digest`, its sha256, for which a large file is read once."""
        return self._describe(self.find(model, kind), digest=digest)

    def edit(self, model: str, *, kind: ModelKind | None, changes: Mapping[str, Any]) -> ModelCardView:
        """Change fields of a model's card.

        Raises:
            OSError: it cannot be written.
        """
        found = self.find(model, kind)
        edit_card(found.path, changes)
        return self._describe(found, digest=False)

    def _describe(self, found: FoundModel, *, digest: bool) -> ModelCardView:
        try:
            view = self._view(found)
        except FileNotFoundError as error:
            raise NotFound(f"The model {found.name!r} is not there any more.") from error
        card = read_card(found.path)
        header = None
        if not found.diffusers:
            with contextlib.suppress(WorkerError):
                header = weights.read_header(found.path)
        told: dict[str, Any] = {
            name: getattr(card, name) for name in ("description", "author", "license", "usage_hint", "source")
        }
        if header is not None:
            told |= {
                "architecture": noted(header, "modelspec.architecture"),
                "tensor_count": header.tensor_count,
                "dtypes": dict(list(header.dtypes.items())[:SHOWN_NOTES]),
                "is_lora": header.is_lora,
                "training": training_notes(header),
                "metadata": shown_metadata(header.metadata),
            }
            told["author"] = told["author"] or noted(header, "modelspec.author")
            told["description"] = told["description"] or noted(header, "modelspec.description")
        if digest and not found.diffusers:
            told["sha256"] = self._digests.sha256(found.path)
        if card_path(found.path).exists():
            told["card_path"] = self._workspace.relative(card_path(found.path))
        self._headers.keep()
        return ModelCardView(**{**view.model_dump(), **told})

    def _kind(self, found: FoundModel) -> ModelKind:
        if found.kind is not None:
            return found.kind
        with contextlib.suppress(OSError):
            return _kind_of(found, self._headers.notes(found.path, found.path.stat()))
        return ModelKind.OTHER

    def _view(self, found: FoundModel) -> ModelView:
        size_bytes, modified_s, notes = self._measure(found)
        card = read_card(found.path)
        words = card.trigger_words or ([notes.trigger_word] if notes.trigger_word else None)
        return ModelView(
            path=self._workspace.relative(found.path),
            name=found.name,
            kind=found.kind or _kind_of(found, notes),
            format=found.format,
            size_bytes=size_bytes,
            modified_at=datetime.fromtimestamp(modified_s, UTC),
            whole=notes.whole if found.format == weights.SUFFIX[1:] else None,
            process_id=found.process_id,
            step=notes.step,
            rank=notes.rank,
            base_model=card.base_model or notes.base_model,
            trigger_words=words,
            title=card.title,
            tags=card.tags,
        )

    def _measure(self, found: FoundModel) -> tuple[int, float, HeaderNotes]:
        if found.diffusers:
            states = list(_states(found.path))
            size_bytes = sum(state.st_size for state in states)
            return size_bytes, max((state.st_mtime for state in states), default=0.0), HeaderNotes()
        state = found.path.stat()
        readable = found.format == weights.SUFFIX[1:]
        notes = self._headers.notes(found.path, state) if readable else HeaderNotes()
        return state.st_size, state.st_mtime, notes


def _kind_of(found: FoundModel, notes: HeaderNotes) -> ModelKind:
    if notes.is_lora:
        return ModelKind.LORA
    # Weights of a training that are not a LoRA are a whole model.
    return ModelKind.CHECKPOINT if found.process_id is not None and notes.whole else ModelKind.OTHER


def _states(folder: Path) -> Iterator[os.stat_result]:
    for entry in files_below(folder):
        with contextlib.suppress(FileNotFoundError):
            yield entry.stat()


def _sealed(path: str) -> str:
    return base64.urlsafe_b64encode(json.dumps(path.split("/"), ensure_ascii=False).encode()).decode()


def _opened(cursor: str | None) -> tuple[str, ...] | None:
    if cursor is None:
        return None
    try:
        parts = json.loads(base64.b64decode(cursor, altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, RecursionError) as error:
        raise InvalidInput("cursor: it does not come from `list_models`.") from error
    if not isinstance(parts, list) or not parts or not all(isinstance(part, str) for part in parts):
        raise InvalidInput("cursor: it does not come from `list_models`.")
    return tuple(parts)
