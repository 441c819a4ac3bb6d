"""A line chart as SVG, for readers without JavaScript and for paper."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from lorapod.client.report_page.curve import Curve
from lorapod.client.report_page.markup import Markup, element, join

WIDTH, HEIGHT = 640, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 12, 44
_NICE = (1, 2, 2.5, 5, 10)


def line_chart(
    curves: Sequence[tuple[str, Curve]],
    *,
    label: str,
    unit: str = "loss",
    from_zero: bool = True,
    class_: str = "chart-static",
) -> Markup | None:
    """Return a chart of curves with their names; None if they have no value.

    Args:
        curves: the name of each curve, and the curve.
        label: what the chart shows, for those who cannot see it.
        unit: what the values are.
        from_zero: whether the scale begins at 0.
        class_: of the SVG.
    """
    values = [value for _, curve in curves for value in curve.values if value is not None]
    if not values:
        return None
    steps = [step for _, curve in curves for step in curve.steps]
    x = _Scale(min(steps), max(steps), _LEFT, WIDTH - _RIGHT)
    lowest = min(0.0, *values) if from_zero else min(values)
    y = _Scale(lowest, max(values), HEIGHT - _BOTTOM, _TOP)
    return element(
        "svg",
        _axes(x, y, unit),
        (_line(place, curve, x, y) for place, (_, curve) in enumerate(curves)),
        class_=class_,
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        aria_label=label,
    )


class _Scale:
    """A linear scale from values to places in the picture."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        self.low, self.high = low, high if high > low else low + 1
        self._start, self._end = start, end

    def place(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return round(self._start + share * (self._end - self._start), 1)

    def ticks(self, most: int) -> Iterator[float]:
        """Yield round values."""
        raw = (self.high - self.low) / most
        unit = 10 ** math.floor(math.log10(raw))
        step = next(unit * nice for nice in _NICE if unit * nice >= raw)
        for count in range(math.ceil(self.low / step), math.floor(self.high / step) + 1):
            yield count * step


def _axes(x: _Scale, y: _Scale, unit: str) -> Markup:
    bottom, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT
    parts: list[Markup] = []
    for tick in y.ticks(5):
        place = y.place(tick)
        parts += (
            element("line", x1=_LEFT, x2=right, y1=place, y2=place, class_="grid"),
            element("text", f"{tick:.4g}", x=_LEFT - 8, y=place + 4, text_anchor="end"),
        )
    for tick in x.ticks(6):
        parts.append(element("text", f"{tick:.0f}", x=x.place(tick), y=bottom + 18, text_anchor="middle"))
    parts += (
        element("text", "step", x=(_LEFT + right) / 2, y=HEIGHT - 6, text_anchor="middle"),
        element(
            "text",
            unit,
            x=14,
            y=(_TOP + bottom) / 2,
            transform=f"rotate(-90 14 {(_TOP + bottom) / 2})",
            text_anchor="middle",
        ),
    )
    return join(parts)


def _line(place: int, curve: Curve, x: _Scale, y: _Scale) -> Markup:
    parts: list[str] = []
    pen = "M"
    for step, value in zip(curve.steps, curve.values, strict=True):
        if value is None:
            pen = "M"
            continue
        # A point alone is a dot.
        dot = "h0" if pen == "M" else ""
        parts.append(f"{pen}{x.place(step)} {y.place(value)}{dot}")
        pen = "L"
    return element("path", d="".join(parts), class_=f"line run-{place % 8}")
