"""Text in a grid: wrapped to a width, cut to a number of lines."""

from __future__ import annotations

from PIL import ImageDraw

from lorapod.comparisons.grid_fonts import Font, font_for

#: From one line to the next, in pixels.
LINE_PX = 20
_CUT = "..."


class TextBlock:
    """One text in a box."""

    def __init__(self, text: str, width_px: int, *, lines: int) -> None:
        """Wrap `text` to `width_px`; of more than `lines` lines, the last one is cut."""
        self._font, shown = font_for(" ".join(text.split()))
        line = _Line(self._font, width_px)
        self._lines = line.wrapped(shown) if shown else []
        if len(self._lines) > lines:
            self._lines = [*self._lines[: lines - 1], line.cut(" ".join(self._lines[lines - 1 :]))]

    @property
    def height_px(self) -> int:
        """How high it is."""
        return LINE_PX * len(self._lines)

    def draw(self, canvas: ImageDraw.ImageDraw, place: tuple[int, int], colour: str) -> None:
        """Draw it with its upper left corner at `place`."""
        for number, line in enumerate(self._lines):
            canvas.text((place[0], place[1] + number * LINE_PX), line, fill=colour, font=self._font)


class _Line:
    """What fits into one line."""

    def __init__(self, font: Font, width_px: int) -> None:
        self._font = font
        self._width_px = width_px

    def wrapped(self, text: str) -> list[str]:
        lines: list[str] = []
        line = ""
        for word in text.split(" "):
            longer = f"{line} {word}".strip()
            if line and self._width(longer) > self._width_px:
                lines.append(line)
                line = word
            else:
                line = longer
            while self._width(line) > self._width_px and len(line) > 1:
                head = self._fitting(line, self._width_px)
                lines.append(line[:head])
                line = line[head:]
        return [*lines, line] if line or not lines else lines

    def cut(self, text: str) -> str:
        """Return as much of a text as fits, with three dots if that is not all."""
        if self._width(text) <= self._width_px:
            return text
        return text[: self._fitting(text, self._width_px - self._width(_CUT))].rstrip() + _CUT

    def _fitting(self, text: str, width_px: float) -> int:
        """Return how many characters of a text fit, at least one."""
        low, high = 1, len(text)
        while low < high:
            middle = (low + high + 1) // 2
            if self._width(text[:middle]) <= width_px:
                low = middle
            else:
                high = middle - 1
        return low

    def _width(self, text: str) -> float:
        return self._font.getlength(text)
