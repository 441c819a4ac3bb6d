"""What README and the hand-written pages show: their blocks of code, and their calls of `lorapod`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = tuple(
    page.relative_to(ROOT).as_posix()
    for page in (
        ROOT / "README.md",
        *sorted(path for path in (ROOT / "docs").rglob("*.md") if "reference" not in path.parts),
        ROOT / "docs/reference/python.md",
    )
)

_BLOCK = re.compile(r"^```(?P<language>\w+)[^\n]*\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)

#: What ends a call beside the line's end, outside quotation marks.
_PIPE = re.compile(r"""(?:[|;]|=\$\()(?=(?:[^"]*"[^"]*")*[^"]*$)""")


@dataclass(frozen=True, kw_only=True)
class Block:
    """A block of code of a page."""

    page: str
    #: Its place among all blocks of its page, from 0.
    number: int
    language: str
    text: str

    @property
    def id(self) -> str:
        return f"{self.page}#{self.number}"

    def lines(self) -> Iterator[str]:
        """The commands of a block for the shell, without comments; `&&` and a backslash end none of them."""
        for line in self.text.replace("\\\n", " ").splitlines():
            for part in re.sub(r"(^|\s)#.*", "", line).split("&&"):
                if part.strip():
                    yield " ".join(part.split())


def blocks(*languages: str, page: str | None = None) -> Iterator[Block]:
    """The blocks in these languages, of all pages or of one."""
    for name in PAGES if page is None else (page,):
        for number, match in enumerate(_BLOCK.finditer((ROOT / name).read_text("utf-8"))):
            if match["language"] in languages:
                yield Block(page=name, number=number, language=match["language"], text=match["text"])


def calls(page: str | None = None) -> Iterator[tuple[Block, str]]:
    """Every call of `lorapod` in the blocks, without what reads its output."""
    for block in blocks("sh", page=page):
        for line in block.lines():
            for part in _PIPE.split(line):
                words = re.sub(r"^(\S*/bin/)?(?=lorapod )", "", part.strip().rstrip(")"))
                if words.startswith("lorapod "):
                    yield block, words
