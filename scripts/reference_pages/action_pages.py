"""The reference pages of actions: an overview, one page an action, and the objects that several of them share."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from lorapod.errors import ErrorCode
from lorapod.wire.front_door import FRONT_DOOR_ACTIONS, REFUSED_ACTIONS
from lorapod.wire.shapes.shape import Shape
from reference_pages.action_notes import ActionNotes
from reference_pages.markdown import (
    GENERATED,
    answer_table,
    definitions_used,
    example,
    fields_table,
    first_sentence,
    page,
    table,
)

#: The folder of the hand-written pages.
DOCS: Final = Path(__file__).parents[2] / "docs"

#: An answer that so many actions share has its fields on the page of objects.
_SHARED = 3

_ANCHOR = re.compile(r"\]\(#(\w+)\)")


@dataclass(frozen=True, kw_only=True)
class ActionPage:
    """What the reference tells of one action."""

    type: str
    summary: str
    #: JSON Schema of its input and of its answer.
    request: Mapping[str, Any]
    result: Mapping[str, Any]
    #: What it answers instead, if the request asks for it.
    other_results: Sequence[Mapping[str, Any]] = ()
    #: An input that tells more than the required fields alone.
    example: Mapping[str, Any] | None = None
    #: An answer to it.
    answer: Mapping[str, Any] = field(default_factory=dict)
    notes: ActionNotes = field(default_factory=ActionNotes)
    #: Whether it only reads, so that it ends after a time.
    limited: bool = False
    #: Whether it may end or overwrite what a person made.
    destroys: bool = False

    @property
    def schemas(self) -> Sequence[Mapping[str, Any]]:
        """Return its schemas: the input's, then the answers'."""
        return (self.request, self.result, *self.other_results)


def action_pages(actions: Sequence[ActionPage], *, shapes: Sequence[Shape] = ()) -> Mapping[str, str]:
    """Return the pages by file name: `actions.md`, `actions/TYPE.md` for each action, and `objects.md`.

    Args:
        actions: in the order of the overview.
        shapes: what may come without a type.
    """
    shared = _shared(actions)
    return {
        "actions.md": _overview(actions, shapes),
        **{f"actions/{action.type}.md": _action_page(action, shared) for action in actions},
        "objects.md": _objects_page(shared),
    }


def _overview(actions: Sequence[ActionPage], shapes: Sequence[Shape]) -> str:
    lines = [
        GENERATED,
        "# Actions",
        "",
        (
            'A job is `{"input": {"type": "<action>", …}}`. An unknown field is refused with the nearest known name. '
            "The answer is one flat JSON object; fields without a value are left out. If an action fails, the answer "
            "is [an error](errors.md), and RunPod marks the job FAILED. Sizes are bytes, durations seconds, times RFC 3339 "
            "in UTC, paths relative to the workspace."
        ),
        "",
        *table(
            ("action", "what it does"),
            [(f"[`{action.type}`](actions/{action.type}.md)", action.summary) for action in actions],
        ),
        "",
    ]
    if shapes:
        lines += _without_type(shapes)
    return page(lines)


def _without_type(shapes: Sequence[Shape]) -> Iterator[str]:
    rows = [(shape.name, shape.summary, f"[`{shape.type}`](actions/{shape.type}.md)") for shape in shapes]
    yield from ("## Inputs without a type", "")
    yield (
        "`action` is read as `type`, and an input may be the JSON text of an object. An input may come without a type, as "
        "other handlers take it. The first form that fits counts, and its answer has the form that its callers know:"
    )
    yield from ("", *table(("input", "known by", "answered by"), rows), "")


def _action_page(action: ActionPage, shared: Mapping[str, Mapping[str, Any]]) -> str:
    lines = [GENERATED, f"# {action.type}", "", action.summary, "", _place(action), ""]
    lines += _request(action)
    lines += _answers(action, shared)
    lines += _errors(action)
    lines += _guides(action)
    lines += _own_objects(action, shared)
    return page([_linked(line, shared) for line in lines])


def _place(action: ActionPage) -> str:
    """Which endpoint answers the action, for how long, and what it may destroy."""
    told = [
        "It runs on the endpoint that trains; a CPU front door refuses it."
        if action.type in REFUSED_ACTIONS
        else "Any worker on the volume answers it, also a CPU front door."
        if action.type in FRONT_DOOR_ACTIONS
        else "The worker that gets the job answers it."
    ]
    if action.limited:
        told.append("It only reads, and ends after a time limit.")
    if action.destroys:
        told.append("It can end or overwrite what you made: programs ask before they send it.")
    return " ".join(told)


def _request(action: ActionPage) -> Iterator[str]:
    shown = {"type": action.type, **action.example} if action.example else example(action.request)
    fields = {name: field for name, field in action.request["properties"].items() if name != "type"}
    yield from ("## Request", "", *_json({"input": shown}), "")
    if fields:
        yield from fields_table({**action.request, "properties": fields}, action.request.get("$defs", {}))
    else:
        yield "No fields beside `type`."
    yield ""


def _answers(action: ActionPage, shared: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield from ("## Answer", "", *_json(action.answer), "")
    yield from answer_table(action.result, action.result.get("$defs", {}))
    for other in action.other_results:
        if other["title"] in shared:
            yield from ("", f"Or [{other['title']}](#{other['title'].lower()}): {first_sentence(other)}")
            continue
        yield from ("", f"### Or {other['title']}", "", first_sentence(other), "")
        yield from answer_table(other, other.get("$defs", {}))
    yield ""


def _errors(action: ActionPage) -> Iterator[str]:
    told = dict(action.notes.errors)
    first = {ErrorCode.INVALID_INPUT: "A field is unknown, is missing or has a wrong value."}
    last = {ErrorCode.TIMEOUT: "The volume or a server did not answer in time."} if action.limited else {}
    if action.type in REFUSED_ACTIONS:
        told.setdefault(ErrorCode.UNSUPPORTED, "A front door got the request.")
    rows = [(f"`{code}`", when) for code, when in {**first, **told, **last}.items()]
    yield from ("## Errors", "", *table(("code", "when"), rows), "")
    yield from ("Any action can answer `internal`. [What each code means](../errors.md).", "")


def _guides(action: ActionPage) -> Iterator[str]:
    if action.notes.guides:
        yield from ("## How to", "")
        yield from (f"- [{_title(guide)}](../../{guide})" for guide in action.notes.guides)
        yield ""


def _title(guide: str) -> str:
    first = next(line for line in (DOCS / guide).read_text("utf-8").splitlines() if line.startswith("# "))
    return first.removeprefix("# ")


def _shared(actions: Sequence[ActionPage]) -> Mapping[str, Mapping[str, Any]]:
    """Return the objects of more than one action, and the answers of at least `_SHARED`, by name."""
    used = Counter(name for action in actions for name in _objects(action))
    answers = Counter(other["title"] for action in actions for other in action.other_results)
    found: dict[str, Mapping[str, Any]] = {}
    for action in actions:
        for name, schema in _objects(action).items():
            if used[name] > 1:
                found.setdefault(name, schema)
        for other in action.other_results:
            if answers[other["title"]] >= _SHARED:
                found.setdefault(other["title"], other)
    return dict(sorted(found.items()))


def _objects(action: ActionPage) -> Mapping[str, Mapping[str, Any]]:
    """Return the objects inside an action's schemas by name, each with the definitions that it refers to."""
    found: dict[str, Mapping[str, Any]] = {}
    for schema in action.schemas:
        definitions = schema.get("$defs", {})
        for name in definitions_used(schema):
            found.setdefault(name, {**definitions[name], "$defs": definitions})
    return found


def _own_objects(action: ActionPage, shared: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    own = {name: schema for name, schema in _objects(action).items() if name not in shared}
    if own:
        yield from ("## Objects", "", *_object_sections(own, level=3))


def _objects_page(shared: Mapping[str, Mapping[str, Any]]) -> str:
    intro = "What several [actions](actions.md) take or answer. An object of one action alone is on its page."
    return page([GENERATED, "# Objects", "", intro, "", *_object_sections(shared, level=2)])


def _object_sections(objects: Mapping[str, Mapping[str, Any]], *, level: int) -> Iterator[str]:
    for name, schema in sorted(objects.items()):
        yield from (f"{'#' * level} {name}", "", first_sentence(schema), "")
        yield from fields_table(schema, schema.get("$defs", {}))
        yield ""


def _linked(line: str, shared: Mapping[str, Mapping[str, Any]]) -> str:
    """Let the links of an action's page to shared objects lead to their page."""
    names = {name.lower() for name in shared}
    return _ANCHOR.sub(lambda found: f"](../objects.md#{found[1]})" if found[1] in names else found[0], line)


def _json(shown: Mapping[str, Any]) -> Sequence[str]:
    return ["```json", *json.dumps(shown, indent=2, ensure_ascii=False).splitlines(), "```"]
