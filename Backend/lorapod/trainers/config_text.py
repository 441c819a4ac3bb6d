"""A training config as text: from YAML or JSON to plain JSON types within limits, and back to YAML.

The number `1e-4` is a float here, as in YAML 1.2 and in AI Toolkit, not the text that PyYAML alone makes of it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from lorapod.errors import InvalidInput

MAX_BYTES = 256_000
#: Levels of nesting; real configs have eight.
MAX_DEPTH = 40
#: Values after every alias is written out in full; this stops a "billion laughs" attack.
MAX_VALUES = 50_000

_FLOAT = re.compile(r"^[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9_]+)[eE][-+]?[0-9]+$")
_FLOAT_TAG = "tag:yaml.org,2002:float"
_MERGE_TAG = "tag:yaml.org,2002:merge"


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the exponents of YAML 1.2."""


class _Dumper(yaml.SafeDumper):
    """A dumper that quotes text which `_Loader` would read as a number, and writes shared values out in full."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


for _class in (_Loader, _Dumper):
    _class.add_implicit_resolver(_FLOAT_TAG, _FLOAT, list("-+0123456789."))


def parse_config(source: str | Mapping[str, Any], *, max_bytes: int = MAX_BYTES) -> dict[str, Any]:
    """Return a config as nested dicts, lists, text, numbers, booleans and None, a copy in which nothing is shared.

    Args:
        source: YAML or JSON text, or an object that is parsed already.
        max_bytes: largest text.

    Raises:
        InvalidInput: it is too large, too deep, malformed, has a key twice, or holds a value that JSON does not have.
    """
    parsed = _parse_text(source, max_bytes) if isinstance(source, str) else source
    if not isinstance(parsed, Mapping):
        raise InvalidInput("The config must be a mapping of keys to values, for example `job: extension`.")
    plain = _Plain().of(parsed, "", 0)
    assert isinstance(plain, dict)
    return plain


def dump_config(config: Mapping[str, Any]) -> str:
    """Return the config as YAML that `parse_config` and AI Toolkit read back unchanged."""
    text: str = yaml.dump(dict(config), Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    return text


def sample_prompts(config: Mapping[str, Any]) -> Sequence[str]:
    """Return the sample prompts of a config that a trainer has accepted, in the order of the sample numbers."""
    match config:
        case {"config": {"process": [{"sample": dict(sample), **process}, *_]}}:
            trigger = str(process.get("trigger_word") or "[trigger]")
        case _:
            return ()
    listed = sample.get("samples") or sample.get("prompts") or ()
    texts = [entry.get("prompt", "") if isinstance(entry, dict) else entry for entry in listed]
    return [str(text).replace("[trigger]", trigger) for text in texts]


def _parse_text(text: str, max_bytes: int) -> Any:
    # The cheap test first: a character has at least one byte.
    if len(text) > max_bytes or len(text.encode(errors="replace")) > max_bytes:
        raise InvalidInput(f"The config is too large: at most {max_bytes} bytes are allowed.")
    if text.lstrip().startswith("{"):
        try:
            return json.loads(text, object_pairs_hook=_without_duplicates)
        except RecursionError:
            raise InvalidInput(
                f"The config is nested too deeply: at most {MAX_DEPTH} levels are allowed."
            ) from None
        except ValueError:
            # Text in YAML's flow style looks like JSON; and YAML's error message has line and column.
            pass
    try:
        _check_events(text)
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                raise InvalidInput("The config is empty.")
            _check_keys(node)
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        raise InvalidInput(f"The config is not valid YAML: {_place(error)}") from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InvalidInput(f"The config is not valid YAML: {reason}.") from None


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise InvalidInput(f"The config has the key {key[:80]!r} twice in one place.")
        found[key] = value
    return found


def _check_events(text: str) -> None:
    """Check depth and expanded size before anything is built."""
    bounds = _Bounds()
    for event in yaml.parse(text, Loader=_Loader):
        match event:
            case yaml.CollectionStartEvent():
                bounds.open(event.anchor)
            case yaml.CollectionEndEvent():
                bounds.close()
            case yaml.AliasEvent(anchor=str(anchor)):
                bounds.alias(anchor)
            case yaml.ScalarEvent():
                bounds.value(event.anchor)


class _Bounds:
    """A count of the values of a document with every alias written out."""

    def __init__(self) -> None:
        self._sizes: dict[str, int] = {}
        self._open: list[tuple[str | None, int]] = [(None, 0)]

    def open(self, anchor: str | None) -> None:
        self._open.append((anchor, 1))
        if len(self._open) > MAX_DEPTH + 1:
            raise InvalidInput(f"The config is nested too deeply: at most {MAX_DEPTH} levels are allowed.")

    def close(self) -> None:
        self._add(*self._open.pop())

    def value(self, anchor: str | None) -> None:
        self._add(anchor, 1)

    def alias(self, anchor: str) -> None:
        if any(name == anchor for name, _size in self._open):
            raise InvalidInput(f"The YAML anchor {anchor[:80]!r} contains itself.")
        self._add(None, self._sizes.get(anchor, 1))

    def _add(self, anchor: str | None, size: int) -> None:
        if anchor is not None:
            self._sizes[anchor] = size
        parent, total = self._open[-1]
        self._open[-1] = (parent, total + size)
        if total + size > MAX_VALUES:
            raise InvalidInput(
                f"The config has too many values: at most {MAX_VALUES} are allowed, with all aliases written out."
            )


def _check_keys(root: yaml.Node) -> None:
    waiting, seen = [root], {id(root)}
    while waiting:
        node = waiting.pop()
        children: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            keys: set[tuple[str, str]] = set()
            for key, value in node.value:
                children += [key, value]
                if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE_TAG:
                    continue
                if (key.tag, key.value) in keys:
                    place = f"line {key.start_mark.line + 1}"
                    raise InvalidInput(
                        f"The config has the key {key.value[:80]!r} twice in one place ({place})."
                    )
                keys.add((key.tag, key.value))
        elif isinstance(node, yaml.SequenceNode):
            children = node.value
        for child in children:
            if id(child) not in seen:
                seen.add(id(child))
                waiting.append(child)


def _place(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
    return f"{' '.join((error.problem or error.context or 'malformed').split())[:200]}{where}."


class _Plain:
    """A copier of values into plain JSON types."""

    def __init__(self) -> None:
        self._values = 0

    def of(self, value: Any, field: str, depth: int) -> Any:
        self._values += 1
        if depth > MAX_DEPTH:
            raise InvalidInput(f"The config is nested too deeply: at most {MAX_DEPTH} levels are allowed.")
        if self._values > MAX_VALUES:
            raise InvalidInput(f"The config has too many values: at most {MAX_VALUES} are allowed.")
        match value:
            case None | bool():
                return value
            case str():
                return _text(value, field)
            case int():
                return _integer(value, field)
            case float():
                if not math.isfinite(value):
                    raise _refused(field, "is not a finite number")
                return value
            case Mapping():
                return self._mapping(value, field, depth)
            case list() | tuple():
                return [self.of(item, f"{field}[{place}]", depth + 1) for place, item in enumerate(value)]
            case _:
                raise _refused(
                    field, f"is a {type(value).__name__}, which JSON does not have; put it in quotes"
                )

    def _mapping(self, value: Mapping[Any, Any], field: str, depth: int) -> dict[str, Any]:
        plain: dict[str, Any] = {}
        for key, item in value.items():
            name = _key(key, field)
            inner = f"{field}.{name}" if field else name
            if name in plain:
                raise _refused(inner, "is there twice")
            plain[name] = self.of(item, inner, depth + 1)
        return plain


def _key(key: Any, field: str) -> str:
    """Return a key as JSON writes it: `1` and `true` become text."""
    if isinstance(key, str):
        return _text(key, field)
    if key is None or isinstance(key, bool | int | float):
        return json.dumps(key)
    raise _refused(field, "has a key that is not text")


def _text(text: str, field: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _refused(field, "is not valid Unicode") from None
    return text


def _integer(number: int, field: str) -> int:
    if abs(number) >= 2**63:
        raise _refused(field, "is a number that is too large")
    return number


def _refused(field: str, error: str) -> InvalidInput:
    shown = field if len(field) <= 80 else f"{field[:77]}..."
    return InvalidInput(f"{shown}: {error}.", details=[{"field": shown, "error": error}])
