"""Text in a grid: wrapped to a width, cut to a number of lines."""

from __future__ import annotations

from functools import cache

from PIL import ImageDraw, ImageFont

_SIZE_PX = 15
#: From one line to the next.
LINE_PX = 20
_CUT = "…"

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@cache
def _font() -> Font:
    """Return Pillow's own font, which needs no file of the system."""
    return ImageFont.load_default(_SIZE_PX)


class TextBlock:
    """One text in a box."""

    def __init__(self, text: str, width_px: int, *, lines: int) -> None:
        """Wrap `text` to `width_px`; of more than `lines` lines, the last one ends in `…`."""
        self._lines = _wrapped(" ".join(text.split()), width_px)
        if len(self._lines) > lines:
            self._lines = [*self._lines[: lines - 1], _cut(" ".join(self._lines[lines - 1 :]), width_px)]

    @property
    def height_px(self) -> int:
        """How high it is."""
        return LINE_PX * len(self._lines)

    def draw(self, canvas: ImageDraw.ImageDraw, place: tuple[int, int], colour: str) -> None:
        """Draw it with its upper left corner at `place`."""
        for number, line in enumerate(self._lines):
            canvas.text((place[0], place[1] + number * LINE_PX), line, fill=colour, font=_font())


def _wrapped(text: str, width_px: int) -> list[str]:
    lines: list[str] = []
    line = ""
    for word in text.split(" "):
        longer = f"{line} {word}".strip()
        if line and _width(longer) > width_px:
            lines.append(line)
            line = word
        else:
            line = longer
        while _width(line) > width_px and len(line) > 1:
            head = _fitting(line, width_px)
            lines.append(line[:head])
            line = line[head:]
    return [*lines, line] if line or not lines else lines


def _cut(text: str, width_px: int) -> str:
    if _width(text) <= width_px:
        return text
    return f"{text[: _fitting(text, width_px - int(_width(_CUT)))].rstrip()}{_CUT}"


def _fitting(text: str, width_px: int) -> int:
    """Return how many characters of a text fit, at least one."""
    low, high = 1, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if _width(text[:middle]) <= width_px:
            low = middle
        else:
            high = middle - 1
    return low


def _width(text: str) -> float:
    return _font().getlength(text)
