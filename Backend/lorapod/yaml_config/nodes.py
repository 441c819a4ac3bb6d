"""The parts of a YAML document before values are made of them: their number, their keys, and text that must stay text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import yaml

from lorapod.errors import InvalidInput

#: Levels of nesting; real configs have eight.
MAX_DEPTH = 40
#: Values after every alias is written out in full; this stops a "billion laughs" attack.
MAX_VALUES = 50_000

#: Keys whose values are text: there `yes` and `1234` are words of a person, and a moment (`until`) is as it was written.
TEXT_KEYS = frozenset(
    """
    anchor_class class_names concept default_caption diff_output_preservation_class hf_repo_id init_words name
    negative negative_prompt positive positive_prompt prompt prompts replacement target_class trigger
    trigger_class_name trigger_word unconditional_prompt until
    """.split()
)

_MERGE_TAG = "tag:yaml.org,2002:merge"
_TEXT_TAG = "tag:yaml.org,2002:str"
_KEPT_TAGS = frozenset({_TEXT_TAG, "tag:yaml.org,2002:null"})
#: Quotes that YAML does not know as quotes: \u201c \u201d \u201e \u00ab \u00bb \u2018 \u2019 and the like.
_QUOTES = "\u201c\u201d\u201e\u201f\u00ab\u00bb\u2018\u2019\u201a\u2039\u203a"
_TYPOGRAPHIC = re.compile(f"[{_QUOTES}].*[{_QUOTES}]", re.DOTALL)


def check_events(events: Iterable[yaml.Event]) -> None:
    """Check depth and expanded size before anything is built.

    Raises:
        InvalidInput: the document is too deep or too large, or an anchor contains itself.
    """
    bounds = _Bounds()
    for event in events:
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


def settle_nodes(root: yaml.Node) -> None:
    """Check all keys and quotes, and make text of what stands at text keys.

    Raises:
        InvalidInput: a key is there twice, or text has typographic quotes around it.
    """
    for node in _all(root):
        match node:
            case yaml.ScalarNode():
                _check_quotes(node)
            case yaml.MappingNode():
                _check_keys(node)
                for key, value in node.value:
                    if isinstance(key, yaml.ScalarNode) and key.value in TEXT_KEYS:
                        _keep_text(value)


def _all(root: yaml.Node) -> Iterator[yaml.Node]:
    """Yield every node once."""
    waiting, seen = [root], {id(root)}
    while waiting:
        node = waiting.pop()
        yield node
        children: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            children = [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            children = node.value
        for child in children:
            if id(child) not in seen:
                seen.add(id(child))
                waiting.append(child)


def _check_keys(node: yaml.MappingNode) -> None:
    keys: set[tuple[str, str]] = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE_TAG:
            continue
        if (key.tag, key.value) in keys:
            raise InvalidInput(
                f"The config has the key {key.value[:80]!r} twice in one place ({_line(key)}).",
                details=[{"field": key.value[:80], "error": f"is there twice ({_line(key)})"}],
            )
        keys.add((key.tag, key.value))


def _check_quotes(node: yaml.ScalarNode) -> None:
    if node.style is None and _TYPOGRAPHIC.fullmatch(node.value):
        error = f'{node.value[:80]} has typographic quotes ({_line(node)}); use straight quotes: "\u2026"'
        raise InvalidInput(f"The config: {error}.", details=[{"field": "config", "error": error}])


def _keep_text(node: yaml.Node) -> None:
    """Make the tag of unquoted text say that it is text."""
    for part in node.value if isinstance(node, yaml.SequenceNode) else [node]:
        if isinstance(part, yaml.ScalarNode) and part.style is None and part.tag not in _KEPT_TAGS:
            part.tag = _TEXT_TAG


def _line(node: yaml.Node) -> str:
    return f"line {node.start_mark.line + 1}"
