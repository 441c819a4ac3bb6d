"""JSON Schema as Markdown tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

#: The first line of each page.
GENERATED: Final = "<!-- Written by `make docs` from the code; edit the code, not this page. -->"

_TEXT_EXAMPLES = {"process_id": "train_0123456789ab"}


def page(lines: Sequence[str]) -> str:
    """Lines as a file has them."""
    return "\n".join(line.rstrip() for line in lines).rstrip("\n") + "\n"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table."""
    lines = [f"| {' | '.join(header)} |", f"| {' | '.join('---' for _ in header)} |"]
    return [*lines, *(f"| {' | '.join(_cell(text) for text in row)} |" for row in rows)]


def fields_table(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> list[str]:
    """The fields of an object's schema: name, type, default, description."""
    required = schema.get("required", [])
    rows = [
        (
            f"`{name}`",
            type_text(field, definitions),
            default_text(field, required=name in required),
            description(field),
        )
        for name, field in schema.get("properties", {}).items()
    ]
    return table(("field", "type", "default", "meaning"), rows)


def answer_table(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> list[str]:
    """The fields of an answer's schema: name, type, description."""
    rows = [
        (f"`{name}`", type_text(field, definitions), description(field))
        for name, field in schema.get("properties", {}).items()
    ]
    return table(("field", "type", "meaning"), rows)


def type_text(field: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """A field's type in words, with its bounds; `null` is not told: a field without a value is left out."""
    bounds = [
        _range(field.get("minimum"), field.get("maximum"), ""),
        _range(field.get("minLength"), field.get("maxLength"), " characters"),
        "" if "prefixItems" in field else _range(field.get("minItems"), field.get("maxItems"), " entries"),
    ]
    for key, words in (("exclusiveMinimum", "more than"), ("exclusiveMaximum", "less than")):
        if key in field:
            bounds.append(f"{words} {_number(field[key])}")
    told = "; ".join(bound for bound in bounds if bound)
    kind = _kind(field, definitions)
    return f"{kind} ({told})" if told else kind


def default_text(field: Mapping[str, Any], *, required: bool) -> str:
    """A field's default as JSON; `required` where it has none."""
    if required:
        return "required"
    return "" if field.get("default") is None else f"`{json.dumps(field['default'], ensure_ascii=False)}`"


def description(field: Mapping[str, Any]) -> str:
    """What the field means."""
    return str(field.get("description", ""))


def first_sentence(schema: Mapping[str, Any]) -> str:
    """What an object is, in short."""
    return description(schema).split("\n\n")[0].replace("\n", " ")


def example(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A valid object: the schema's own first example, else its required fields."""
    properties: Mapping[str, Any] = schema.get("properties", {})
    if schema.get("examples"):
        chosen = dict(schema["examples"][0])
        return {"type": properties["type"]["const"], **chosen} if "type" in properties else chosen
    definitions = schema.get("$defs", {})
    return {name: _value(name, properties[name], definitions) for name in schema.get("required", [])}


def definitions_used(schema: Mapping[str, Any]) -> list[str]:
    """Names of the object definitions that a schema leads to, in the order of their first mention."""
    definitions: Mapping[str, Any] = schema.get("$defs", {})
    found: list[str] = []
    waiting: list[Any] = [schema.get("properties", {})]
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, Mapping):
            name = _name(node)
            if name and name not in found and "properties" in definitions[name]:
                found.append(name)
                waiting.append(definitions[name]["properties"])
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
    return found


def _kind(field: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    if name := _name(field):
        target = definitions[name]
        return f"[{name}](#{name.lower()})" if "properties" in target else type_text(target, definitions)
    if "const" in field:
        return f"`{json.dumps(field['const'])}`"
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    for union in ("anyOf", "oneOf", "allOf"):
        if union in field:
            kinds = (type_text(part, definitions) for part in field[union] if part.get("type") != "null")
            return " or ".join(dict.fromkeys(kinds))
    return _simple(field, definitions)


def _simple(field: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    match field.get("type"):
        case "array":
            if "prefixItems" in field:
                return f"[{', '.join(type_text(item, definitions) for item in field['prefixItems'])}]"
            items = field.get("items")
            return f"list of {type_text(items, definitions)}" if items else "list"
        case "object":
            values = field.get("additionalProperties")
            return (
                f"object of {type_text(values, definitions)}"
                if isinstance(values, Mapping) and values
                else "object"
            )
        case "string" if "format" in field:
            return f"string ({field['format']})"
        case str(kind):
            return kind
        case _:
            return "any"


def _value(name: str, field: Mapping[str, Any], definitions: Mapping[str, Any]) -> Any:
    """Some value that fits a required field."""
    if reference := _name(field):
        target = {**definitions[reference], "$defs": definitions}
        return example(target) if "properties" in target else _value(name, target, definitions)
    if shown := field.get("examples") or field.get("enum"):
        return shown[0]
    if union := field.get("anyOf") or field.get("oneOf"):
        return _value(name, union[0], definitions)
    if field.get("type") == "array":
        return [_value(name, field.get("items", {}), definitions)]
    placeholders: dict[str, Any] = {"integer": field.get("minimum", 1), "boolean": True, "object": {}}
    return field.get("const", placeholders.get(field.get("type", ""), _TEXT_EXAMPLES.get(name, "…")))


def _name(field: Mapping[str, Any]) -> str | None:
    reference = field.get("$ref")
    return reference.removeprefix("#/$defs/") if isinstance(reference, str) else None


def _range(least: float | None, most: float | None, unit: str) -> str:
    if least is not None and most is not None:
        return f"{_number(least)} to {_number(most)}{unit}"
    if most is not None:
        return f"up to {_number(most)}{unit}"
    if least == 1 and unit == " characters":
        return "not empty"
    return "" if least is None else f"{_number(least)} or more{unit}"


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) and value >= 10_000 else f"{value:g}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
