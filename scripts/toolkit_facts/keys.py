"""The keys that AI Toolkit's classes read from a config: their types, defaults, and the class of a nested section.

Three forms are read: `kwargs.get("key", default)` in a config class, `self.get_conf("key", default)` and
`self.config.get("key", default)` in a process; and `SomeConfig(**value)`, which says what a key's mapping is.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from toolkit_facts.checkout import Checkout, text_of
from toolkit_facts.forms import (
    ANNOTATED,
    Key,
    assignments,
    checked_types,
    follow_loops,
    is_plain,
    keys_in,
    name_of,
    read_of,
    sections,
)


class KeyReader:
    """A reader of the keys of single classes."""

    def __init__(self, checkout: Checkout) -> None:
        """Read from `checkout`."""
        self._checkout = checkout
        self._aliases: dict[str, tuple[str, ...]] = {}
        for name, words in _literal_aliases(checkout):
            self._aliases[name] = tuple(dict.fromkeys((*self._aliases.get(name, ()), *words)))

    def of_class(self, name: str) -> dict[str, Key]:
        """Return the keys that a class and its bases read."""
        keys: dict[str, Key] = {}
        for node in self._checkout.bases(name):
            for method in node.body:
                if isinstance(method, ast.FunctionDef):
                    for key, found in self.of_function(method).items():
                        keys.setdefault(key, Key()).merge(found)
        return keys

    def of_function(self, function: ast.FunctionDef) -> dict[str, Key]:
        """Return the keys that one function reads."""
        keys: dict[str, Key] = {}
        names: dict[str, str] = {}
        for node in ast.walk(function):
            read = read_of(node)
            if read is not None:
                keys.setdefault(read.key, Key()).merge(read.found)
        for target, annotation, value in assignments(function):
            for key in keys_in(value):
                name = name_of(target)
                if name is not None:
                    names[name] = key
                if is_plain(value):
                    keys[key].merge(self._annotated(annotation))
        follow_loops(function, names)
        self._add_sections(function, keys, names)
        for name, kind in checked_types(function):
            if name in names:
                keys[names[name]].types.add(kind)
        _follow_defaults(keys, names)
        return {key: _finished(found) for key, found in keys.items()}

    def _add_sections(
        self, function: ast.FunctionDef, keys: Mapping[str, Key], names: Mapping[str, str]
    ) -> None:
        for section, value, many in sections(function):
            if section in self._checkout.classes:
                named = [names[value.id]] if isinstance(value, ast.Name) and value.id in names else []
                for key in (*keys_in(value), *named):
                    keys[key].merge(Key(section=section, many=many))

    def _annotated(self, annotation: ast.expr | None) -> Key:
        """Return what an annotation says."""
        return Key(
            types=self._types(annotation),
            choices=self._choices(annotation),
            entries=self._entries(annotation),
        )

    def _types(self, annotation: ast.expr | None) -> set[str]:
        match annotation:
            case ast.Constant(value=None):
                return {"null"}
            case ast.Subscript(value=ast.Name(id="Optional"), slice=inner):
                return {"null", *self._types(inner)}
            case ast.Subscript(value=ast.Name(id="Union"), slice=ast.Tuple(elts=members)):
                return {kind for member in members for kind in self._types(member)}
            case ast.Name(id=name) | ast.Subscript(value=ast.Name(id=name)):
                kind = "text" if name in self._aliases else ANNOTATED.get(name)
                return {kind} if kind is not None else set()
        return set()

    def _entries(self, annotation: ast.expr | None) -> str | None:
        match annotation:
            case ast.Subscript(value=ast.Name(id="Optional"), slice=inner):
                return self._entries(inner)
            case ast.Subscript(value=ast.Name(id="List" | "list"), slice=ast.Name() as inner):
                kinds = self._types(inner)
                return kinds.pop() if len(kinds) == 1 else None
        return None

    def _choices(self, annotation: ast.expr | None) -> tuple[str, ...]:
        match annotation:
            case ast.Name(id=name) | ast.Subscript(slice=ast.Name(id=name)):
                return self._aliases.get(name, ())
        return ()


def _follow_defaults(keys: Mapping[str, Key], names: Mapping[str, str]) -> None:
    """Give keys whose default is another key's value its types."""
    for found in keys.values():
        other = keys.get(names.get(found.like or "", ""))
        if other is not None:
            found.types |= other.types | types_of(other.default)


def _finished(key: Key) -> Key:
    """Add the types that follow from the default, which may contradict the annotation."""
    if not (key.default is None and not key.types - {"null"}):
        found = types_of(key.default)
        key.types |= found - {"number"} if key.types & {"integer"} and type(key.default) is int else found
    if key.section is not None:
        key.types |= {"list"} if key.many else {"mapping"}
        if key.default is None:
            key.types.add("null")
    if "boolean" in key.types:
        key.types.add("null")
    return key


_KINDS: tuple[tuple[tuple[type, ...], str], ...] = (
    ((bool,), "boolean"),
    ((int, float), "number"),
    ((str,), "text"),
    ((list, tuple), "list"),
    ((dict,), "mapping"),
    ((type(None),), "null"),
)


def types_of(value: object) -> set[str]:
    """Return the type of a value in a set, which is empty if it is not known."""
    return next(({kind} for classes, kind in _KINDS if isinstance(value, classes)), set())


def _literal_aliases(checkout: Checkout) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the names of `Literal[...]` types, with their values."""
    for module in checkout.modules:
        for node in module.body:
            match node:
                case ast.Assign(
                    targets=[ast.Name(id=name)],
                    value=ast.Subscript(value=ast.Name(id="Literal"), slice=inner),
                ):
                    members = inner.elts if isinstance(inner, ast.Tuple) else [inner]
                    yield name, tuple(text for member in members if (text := text_of(member)) is not None)


#: Endings of names whose values are text in every class.
_TEXT_ENDINGS = ("_path", "_dtype", "_device", "_dir", "_folder", "name")


def complete_types(sections: Mapping[str, dict[str, Key]]) -> None:
    """Find types that one class alone does not show: of the samples' defaults, and of names that other classes type."""
    single, defaults = sections["SampleItem"], sections["SampleConfig"]
    for name in single.keys() & defaults.keys():
        both = defaults[name].types - {"number"} | single[name].types
        single[name].types = both
        defaults[name].types = both - ({"null"} if defaults[name].default is not None else set())
    typed: dict[str, set[str]] = {}
    for keys in sections.values():
        for name, key in keys.items():
            if key.types - {"null"}:
                typed.setdefault(name, key.types)
    for keys in sections.values():
        for name, key in keys.items():
            if not key.types - {"null"}:
                found = typed.get(name, {"text", "null"} if name.endswith(_TEXT_ENDINGS) else set())
                key.types = set(found) | (key.types if found else set())
