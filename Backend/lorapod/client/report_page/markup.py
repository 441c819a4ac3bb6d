"""HTML that cannot be broken by the texts in it: text is escaped where it enters an element."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import Final, TypeAlias

#: Elements that have no content and no end tag.
_VOID: Final = frozenset({"br", "img", "input", "meta"})


class Markup(str):
    """HTML that is safe as it is."""

    __slots__ = ()


Child: TypeAlias = "str | Iterable[Child] | None"


def element(tag: str, *children: Child, **attributes: str | float | bool | None) -> Markup:
    """Return an element; children that are no `Markup` are text.

    Args:
        tag: its name.
        children: text, markup, or several of them; None is left out.
        attributes: underscores become dashes and a trailing one is dropped (`class_`); True has no value, and None and
            False are left out.
    """
    opening = "".join(
        f" {_name(name)}" if value is True else f' {_name(name)}="{html.escape(str(value))}"'
        for name, value in attributes.items()
        if value is not None and value is not False
    )
    if tag in _VOID:
        return Markup(f"<{tag}{opening}>")
    return Markup(f"<{tag}{opening}>{join(children)}</{tag}>")


def join(children: Iterable[Child]) -> Markup:
    """Return children one after the other; those that are no `Markup` are text."""
    parts: list[str] = []
    for child in children:
        if isinstance(child, Markup):
            parts.append(child)
        elif isinstance(child, str):
            parts.append(html.escape(child, quote=False))
        elif child is not None:
            parts.append(join(child))
    return Markup("".join(parts))


def person(text: str) -> Markup:
    """Return text that a person wrote, such as a name or a prompt, apart from the direction of the text around it."""
    return element("bdi", text)


def _name(name: str) -> str:
    return name.rstrip("_").replace("_", "-")
