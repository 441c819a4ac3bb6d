"""The client without an event loop, from the one with it: the same methods over the same calls."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from python_client.source import HEADER, formatted

#: Names that differ.
_NAMES: Final[Mapping[str, str]] = {
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "AsyncioRuntime": "BlockingRuntime",
    "asyncio_runtime": "blocking_runtime",
}
#: What only one of them can say.
_SENTENCES: Final[Mapping[str, str]] = {
    "It belongs to the event loop in which it is used first.": "It is safe to use from several threads.",
}
_ASYNC_NAME: Final = re.compile(r"\bAsync(?=[A-Z]\w*)")


def modules(folder: Path) -> Mapping[str, str]:
    """Return the modules as they must be, by file name; `folder` has those with `async`."""
    return {
        path.name: blocking(path.read_text("utf-8"))
        for path in sorted(folder.glob("*.py"))
        if path.name != "__init__.py"
    }


def blocking(source: str) -> str:
    """Return a module without `async` and `await`: whatever it awaits is finished in the caller's thread."""
    text = _finished(source)
    text = re.sub(r"\basync (def|with|for)\b", r"\1", text)
    text = _ASYNC_NAME.sub("", text).replace("client.aio.", "client.")
    for name, other in _NAMES.items():
        text = re.sub(rf"\b{name}\b", other, text)
    text = _docstrings_blocking(text)
    head, _, rest = text.partition('"""\n')
    head = f"{head} {HEADER}"
    if "finish(" in rest:
        rest = rest.replace(
            "\nfrom lorapod.", "\nfrom lorapod.client.runtime import finish\nfrom lorapod.", 1
        )
    return formatted(f'{head}"""\n{rest}')


def _finished(source: str) -> str:
    """Return the source with `finish(…)` in place of each `await …`."""
    lines = source.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line.encode()))
    data = source.encode()
    edits: list[tuple[int, int, bytes]] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Await):
            assert node.end_lineno is not None
            assert node.end_col_offset is not None
            begin = starts[node.lineno - 1] + node.col_offset
            end = starts[node.end_lineno - 1] + node.end_col_offset
            # A method of the class itself awaits nothing any more; what does are the calls below it.
            opening, closing = (b"", b"") if _is_own(node.value) else (b"finish(", b")")
            edits += [(begin, begin + len(b"await "), opening), (end, end, closing)]
    for begin, end, text in sorted(edits, reverse=True):
        data = data[:begin] + text + data[end:]
    return data.decode()


def _is_own(awaited: ast.expr) -> bool:
    """Return whether a method of this class, or of what one of them returns, is awaited."""
    while isinstance(awaited, ast.Call | ast.Attribute):
        if isinstance(awaited, ast.Attribute) and awaited.attr == "_calls":
            return False
        awaited = awaited.func if isinstance(awaited, ast.Call) else awaited.value
    return isinstance(awaited, ast.Name) and awaited.id == "self"


def _docstrings_blocking(source: str) -> str:
    """Return the source with examples that await nothing."""

    def plain(match: re.Match[str]) -> str:
        text = match[0].replace("await ", "").replace("async with ", "with ")
        for sentence, other in _SENTENCES.items():
            text = text.replace(sentence, other)
        return text

    return re.sub(r'"""(.*?)"""', plain, source, flags=re.DOTALL)
