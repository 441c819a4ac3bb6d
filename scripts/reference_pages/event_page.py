"""The reference page of events, written from their models."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reference_pages.markdown import (
    GENERATED,
    answer_table,
    definitions_used,
    description,
    first_sentence,
    page,
)


@dataclass(frozen=True, kw_only=True)
class EventSection:
    """What the reference tells of one type of event."""

    type: str
    #: JSON Schema of its `data`.
    data: Mapping[str, Any]


def events_page(
    envelope: Mapping[str, Any],
    common: Mapping[str, Any],
    events: Sequence[EventSection],
    shown: Mapping[str, Any],
) -> str:
    """`events.md`: the envelope, what every event tells, and what each type tells beside that.

    Args:
        envelope: JSON Schema of an event.
        common: that of the data which all types share.
        events: every type.
        shown: an event as it is sent.
    """
    properties = {name: field for name, field in envelope["properties"].items() if name != "data"}
    lines = [
        GENERATED,
        "# Events",
        "",
        (
            "One JSON object each, on RabbitMQ with the `event_type` as routing key, to callbacks as the body of a POST. "
            "Fields without a value are left out; paths are relative to the workspace. How they travel, and what is "
            "promised: [RabbitMQ](../howto/rabbitmq.md), [callbacks and other ways](../howto/other-transports.md)."
        ),
        "",
        "```json",
        *json.dumps(shown, indent=2).splitlines(),
        "```",
        "",
        "## Every event",
        "",
        *answer_table({**envelope, "properties": properties}, envelope.get("$defs", {})),
        "",
        "`data` has in every event:",
        "",
        *answer_table(common, common.get("$defs", {})),
        "",
    ]
    for event in events:
        lines += _section(event, common)
    return page([*lines, *_objects(events, common)])


def _own(event: EventSection, common: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of the event's data that not all types share."""
    return {
        name: field for name, field in event.data["properties"].items() if name not in common["properties"]
    }


def _section(event: EventSection, common: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"## {event.type}", "", description(event.data), "")
    yield from answer_table({"properties": _own(event, common)}, event.data.get("$defs", {}))
    yield ""


def _objects(events: Sequence[EventSection], common: Mapping[str, Any]) -> Iterator[str]:
    """Describe the objects inside the events' data, each once."""
    definitions: dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {}
    for event in events:
        known = event.data.get("$defs", {})
        used = definitions_used({**event.data, "properties": _own(event, common)})
        definitions.update({name: (known[name], known) for name in used})
    if definitions:
        yield from ("## Objects", "")
    for name, (schema, known) in sorted(definitions.items()):
        yield from (f"### {name}", "", first_sentence(schema), "", *answer_table(schema, known), "")
