"""SwarmUI's own list of models; a `lorapod.models.port.ModelCatalog`."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import threading
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from lorapod.engines.swarmui.connection import SwarmUnreachable, connected
from lorapod.engines.swarmui.inventory import plain_model
from lorapod.engines.swarmui.model_cards import SUBTYPES, card, edited, subtype_of, view
from lorapod.engines.swarmui.session import SwarmCaller, SwarmSession
from lorapod.errors import Conflict, InvalidInput, NotFound, Unsupported
from lorapod.models.kinds import ModelKind
from lorapod.models.port import ModelPage
from lorapod.wire.catalog import ModelCardView

Answer = TypeVar("Answer")

#: As deep as SwarmUI looks.
_DEPTH = 20

#: Thousands of models take it a moment, and it may be looking through its folders.
_LIST_S = 120.0

#: Models of one name that an error lists.
_SHOWN = 20


class SwarmModels:
    """Asks SwarmUI each time; its answers are never kept."""

    def __init__(self, address: str, session: SwarmSession, *, named: bool = True) -> None:
        """Ask the server at `address` as `session`; `named`: the operator named one."""
        self._address = address
        self._session = session
        self._named = named
        self._editing = threading.Lock()

    def page(self, *, kind: ModelKind | None, limit: int, cursor: str | None) -> ModelPage:
        """Return one page of the models, by kind and name.

        Raises:
            InvalidInput: the cursor does not come from this list.
            UpstreamError: SwarmUI does not answer.
        """
        after = _opened(cursor)
        kinds = [known for known in SUBTYPES if kind is None or SUBTYPES[known] == subtype_of(kind)]
        found = self._ask(self._listed([known for known in kinds if _place(known) >= after[0]]))
        rest = [(known, told) for known, told in found if (_place(known), str(told.get("name"))) > after]
        page = rest[:limit]
        more = len(rest) > limit
        return ModelPage(
            models=[view(told, known) for known, told in page],
            next_cursor=_sealed(_place(page[-1][0]), str(page[-1][1].get("name"))) if more else None,
        )

    def describe(self, model: str, *, kind: ModelKind | None, digest: bool) -> ModelCardView:  # noqa: ARG002 - SwarmUI has no digest of the whole file
        """Return all that SwarmUI knows of a model, by its name with or without suffix; see `ModelCatalog.describe`."""
        known, told = self._ask(self._found(model, kind))
        return card(told, known)

    def edit(self, model: str, *, kind: ModelKind | None, changes: Mapping[str, Any]) -> ModelCardView:
        """Change fields of a model, by the worker's names or by SwarmUI's; the others are written as they are.

        SwarmUI saves them a moment after it has answered.

        Raises:
            Unsupported: SwarmUI keeps no such field, or the model is another server's.
        """
        with self._editing:
            known, told = self._ask(self._edited(model, kind, changes))
        return card(told, known)

    def _ask(self, question: Coroutine[Any, Any, Answer]) -> Answer:
        try:
            return asyncio.run(question)
        except SwarmUnreachable as error:
            if self._named or self._session.granted is not None:
                raise
            raise Unsupported(
                f"This worker has no SwarmUI whose models could be asked for. {error.message}",
                hint="Leave `engine` out to ask for the workspace's models.",
            ) from error

    async def _listed(self, kinds: Sequence[ModelKind]) -> list[tuple[ModelKind, dict[str, Any]]]:
        async with connected(self._address) as connection:
            return await _listed(SwarmCaller(connection, self._session), kinds)

    async def _found(self, model: str, kind: ModelKind | None) -> tuple[ModelKind, dict[str, Any]]:
        async with connected(self._address) as connection:
            return await _found(SwarmCaller(connection, self._session), model, kind)

    async def _edited(
        self, model: str, kind: ModelKind | None, changes: Mapping[str, Any]
    ) -> tuple[ModelKind, dict[str, Any]]:
        async with connected(self._address) as connection:
            caller = SwarmCaller(connection, self._session)
            known, told = await _found(caller, model, kind)
            if told.get("local") is False:
                raise Unsupported(
                    f"The model {model!r} lies with another server of SwarmUI's, which alone can edit it."
                )
            # The very name, suffix included: it takes no other here.
            wanted = {"model": told["name"], "subtype": SUBTYPES[known], **edited(told, changes)}
            await caller.call("EditModelMetadata", wanted)
            return await _found(caller, str(told["name"]), known)


async def _listed(caller: SwarmCaller, kinds: Sequence[ModelKind]) -> list[tuple[ModelKind, dict[str, Any]]]:
    """Return every model of some kinds, in order."""
    found: list[tuple[ModelKind, dict[str, Any]]] = []
    for kind in kinds:
        fields = {"path": "", "depth": _DEPTH, "subtype": SUBTYPES[kind], "dataImages": False}
        try:
            answer = await caller.call("ListModels", fields, timeout_s=_LIST_S)
        except InvalidInput:
            # An older SwarmUI has fewer kinds.
            continue
        files = answer.get("files")
        models = [told for told in files if isinstance(told, dict)] if isinstance(files, list) else []
        found += [(kind, told) for told in sorted(models, key=lambda told: str(told.get("name")))]
    return found


async def _found(caller: SwarmCaller, model: str, kind: ModelKind | None) -> tuple[ModelKind, dict[str, Any]]:
    """Return the one model that a caller means.

    Raises:
        NotFound: it does not exist.
        Conflict: there are several, of several kinds or in several folders.
    """
    kinds = [known for known in SUBTYPES if kind is None or SUBTYPES[known] == subtype_of(kind)]
    for known in kinds:
        fields = {"modelName": model, "subtype": SUBTYPES[known]}
        try:
            answer = await caller.call("DescribeModel", fields)
        except (NotFound, InvalidInput):
            continue
        if isinstance(told := answer.get("model"), dict) and isinstance(told.get("name"), str):
            return known, told
    alike = [(known, told) for known, told in await _listed(caller, kinds) if _means(model, told)]
    shown = model if len(model) <= 80 else f"{model[:77]}..."
    if not alike:
        raise NotFound(
            f"SwarmUI has no model {shown!r}.", hint="`list_models` with `engine: swarmui` shows what it has."
        )
    if len(alike) > 1:
        names = [str(told.get("name")) for _, told in alike[:_SHOWN]]
        raise Conflict(
            f"SwarmUI has {len(alike)} models {shown!r}.",
            hint=f"Give the name of one, and its `kind`: {', '.join(names)}.",
        )
    return alike[0]


def _means(model: str, told: Mapping[str, Any]) -> bool:
    """Return whether a caller's name may mean a model: without its folder, or without an unusual suffix."""
    name = str(told.get("name"))
    bare = name.rpartition(".")[0] or name
    wanted = plain_model(model)
    return wanted in {
        plain_model(text) for text in (name, bare, name.rpartition("/")[2], bare.rpartition("/")[2])
    }


def _place(kind: ModelKind) -> int:
    return list(SUBTYPES).index(kind)


def _sealed(place: int, name: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([place, name]).encode()).decode()


def _opened(cursor: str | None) -> tuple[int, str]:
    if cursor is None:
        return (0, "")
    try:
        place, name = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        return (int(place), str(name))
    except (ValueError, TypeError, binascii.Error) as error:
        raise InvalidInput("cursor: it does not come from this list.") from error
