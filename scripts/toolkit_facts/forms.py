"""The forms in which AI Toolkit's functions read a config: single calls, and what becomes of their values."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from toolkit_facts.checkout import text_of

ANNOTATED = {
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "str": "text",
    "dict": "mapping",
    "Dict": "mapping",
    "list": "list",
    "List": "list",
    "tuple": "list",
    "Tuple": "list",
}


@dataclass
class Key:
    """What the sources say of one key."""

    types: set[str] = field(default_factory=set)
    default: Any = ...
    choices: tuple[str, ...] = ()
    #: The type of each entry of a list.
    entries: str | None = None
    #: The class of the mapping, or of each mapping in the list.
    section: str | None = None
    many: bool = False
    #: The variable whose value is the default.
    like: str | None = None

    def merge(self, other: Key) -> None:
        """Add what another place says of the same key."""
        self.types |= other.types
        self.default = other.default if self.default is ... else self.default
        self.choices = self.choices or other.choices
        self.entries = self.entries or other.entries
        self.section = self.section or other.section
        self.many = self.many or other.many
        self.like = self.like or other.like


@dataclass(frozen=True)
class Read:
    """One call that reads a key."""

    key: str
    found: Key


def read_of(node: ast.AST) -> Read | None:
    """Return the key that a call reads, None if it reads none."""
    found = Key()
    match node:
        case ast.Call(func=ast.Attribute(attr="get", value=ast.Name(id="kwargs" | "dataset"))):
            pass
        case ast.Call(func=ast.Attribute(attr="get_conf", value=ast.Name(id="self"))):
            found.types.add("null")  # it returns the default then
        case ast.Call(
            func=ast.Attribute(attr="get", value=ast.Attribute(attr="config", value=ast.Name(id="self")))
        ):
            pass
        case _:
            return None
    key = text_of(node.args[0]) if node.args else None
    if key is None or "." in key:
        return None
    given = node.args[1] if len(node.args) > 1 else ast.Constant(None)
    try:
        found.default = ast.literal_eval(given)
    except ValueError:
        found.like = name_of(given)
    for keyword in node.keywords:
        if keyword.arg == "required":
            found.default = ...
        elif keyword.arg == "as_type" and isinstance(keyword.value, ast.Name):
            found.types |= {ANNOTATED[keyword.value.id]} & set(ANNOTATED.values())
    return Read(key, found)


def assignments(function: ast.FunctionDef) -> Iterator[tuple[ast.expr, ast.expr | None, ast.expr]]:
    """Yield every assignment: what gets the value, its annotation if it has one, and the value."""
    for node in ast.walk(function):
        if isinstance(node, ast.AnnAssign) and node.value is not None:
            yield node.target, node.annotation, node.value
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                yield target, None, node.value


def name_of(target: ast.expr) -> str | None:
    """Return `x` for the variable x, and `self.x` for an attribute."""
    match target:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=ast.Name(id="self"), attr=name):
            return f"self.{name}"
    return None


def is_plain(value: ast.expr) -> bool:
    """Return whether the value is what the config holds, if need be as a number, not something made of it."""
    match value:
        case ast.Call(func=ast.Name(id="float"), args=[inner]):
            return read_of(inner) is not None
    return read_of(value) is not None


def keys_in(value: ast.expr) -> list[str]:
    """Return the key whose value this expression is, in a list."""
    match value:
        case ast.Call(func=ast.Name(id="float"), args=[inner]):
            value = inner
    read = read_of(value)
    return [read.key] if read is not None else []


def follow_loops(function: ast.FunctionDef, names: dict[str, str]) -> None:
    """Name the loops' variables after the keys over whose lists they run."""
    for node in ast.walk(function):
        if isinstance(node, ast.For | ast.comprehension) and isinstance(node.target, ast.Name):
            found = keys_in(node.iter)
            if found:
                names[node.target.id] = found[0]
            elif isinstance(node.iter, ast.Name) and node.iter.id in names:
                names[node.target.id] = names[node.iter.id]


def sections(function: ast.FunctionDef) -> Iterator[tuple[str, ast.expr, bool]]:
    """Yield every `SomeClass(**value)`: the class, the value, and whether it is made for each entry of a list."""
    looped = {
        inner
        for node in ast.walk(function)
        if isinstance(node, ast.ListComp | ast.For)
        for inner in ast.walk(node)
    }
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            for keyword in node.keywords:
                if keyword.arg is None:
                    yield node.func.id, keyword.value, node in looped


def checked_types(function: ast.FunctionDef) -> Iterator[tuple[str, str]]:
    """Yield what `isinstance(name, kind)` shows that a value may also be."""
    for node in ast.walk(function):
        match node:
            case ast.Call(func=ast.Name(id="isinstance"), args=[target, ast.Name(id=kind)]) if (
                kind in ANNOTATED
            ):
                name = name_of(target)
                if name is not None:
                    yield name, ANNOTATED[kind]
