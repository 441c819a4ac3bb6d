"""A training config as text: from YAML or JSON to plain JSON types within limits, and back to YAML.

The number `1e-4` is a float here, as in YAML 1.2 and in AI Toolkit, not the text that PyYAML alone makes of it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

import yaml

from lorapod.errors import InvalidInput
from lorapod.yaml_config.mistakes import explained
from lorapod.yaml_config.nodes import MAX_DEPTH, MAX_VALUES, check_events, settle_nodes

MAX_BYTES = 256_000

_FLOAT = re.compile(r"^[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9_]+)[eE][-+]?[0-9]+$")
_FLOAT_TAG = "tag:yaml.org,2002:float"
#: A Windows path in double quotes, where `\n` is the end of a line.
_BROKEN_PATH = re.compile(r"[A-Za-z]:[\a\b\t\n\v\f\r\x00\x1b]")


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
        check_events(yaml.parse(text, Loader=_Loader))
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                raise InvalidInput("The config is empty.")
            settle_nodes(node)
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        raise _malformed(explained(error, text)) from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise _malformed(" ".join(str(error).split())[:200]) from None


def _malformed(reason: str) -> InvalidInput:
    return InvalidInput(
        f"The config is not valid YAML: {reason}.", details=[{"field": "config", "error": reason}]
    )


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise InvalidInput(f"The config has the key {key[:80]!r} twice in one place.")
        found[key] = value
    return found


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
    if _BROKEN_PATH.match(text):
        raise _refused(
            field,
            "is a Windows path in double quotes, where a backslash begins a code; put it in single quotes",
        )
    if "\0" in text:
        raise _refused(field, "has a NUL character")
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
