"""A recording as an animated SVG: no script, no font and no file from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from recording_parts.cast import Cast
from recording_parts.pace import paced
from recording_parts.screen import LineVersion, Run, Screenplay, screenplay

#: One letter, and the room around the letters, in pixels.
_WIDTH: Final = 8.4
_HEIGHT: Final = 19
_SIZE: Final = 14
_MARGIN: Final = 18
_BAR: Final = 30
#: The end stays so long before it begins again, in seconds.
_END_S: Final = 5.0

_GROUND, _INK, _FRAME = "#16181d", "#d7dae0", "#2a2e37"
_COLOURS: Final = {
    "default": _INK,
    "black": "#5c6370",
    "red": "#f07178",
    "green": "#8fce72",
    "brown": "#e0b95b",
    "blue": "#6cb2f7",
    "magenta": "#d28ee6",
    "cyan": "#5ec9cf",
    "white": "#e8eaee",
    "brightblack": "#8b919d",
}
#: How pyte gives a colour that has no name.
_OTHER_COLOUR: Final = re.compile("[0-9a-f]{6}")
_FONT = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace"


def picture(cast: Cast) -> str:
    """Return the SVG. Without animation, as a person may wish, it shows the end."""
    play = screenplay(paced(cast), width=cast.width, height=cast.height)
    whole_s = play.end_s + _END_S
    width = round(2 * _MARGIN + play.width * _WIDTH)
    inner = _lines_shown(play) * _HEIGHT
    height = _BAR + inner + _MARGIN
    size = f'width="{width}" height="{height}"'
    moving, rules = _lines(play, whole_s)
    description = "The commands: " + "; ".join(cast.commands)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" {size} role="img" aria-labelledby="t d">',
            f'<title id="t">{escape(cast.title)}</title><desc id="d">{escape(description)}</desc>',
            f"<style>{_base_rules(whole_s)}{_scroll_rule(play, whole_s)}{rules}</style>",
            f'<rect width="{width}" height="{height}" rx="8" fill="{_GROUND}"/>',
            *(
                f'<circle cx="{_MARGIN + 16 * number}" cy="{_BAR / 2:g}" r="5" fill="{_FRAME}"/>'
                for number in range(3)
            ),
            f'<svg x="{_MARGIN}" y="{_BAR}" width="{width - 2 * _MARGIN}" height="{inner}"><g class="s">',
            *moving,
            "</g></svg>",
            "</svg>",
            "",
        ]
    )


def _lines_shown(play: Screenplay) -> int:
    """Return how many lines of the terminal are ever used."""
    used = max((one.line for one in play.versions), default=0) + 1
    return min(play.height, used)


def _base_rules(whole_s: float) -> str:
    return (
        f"text{{font:{_SIZE}px {_FONT};fill:{_INK};white-space:pre}}.b{{font-weight:700}}"
        f".a{{animation-duration:{whole_s:.2f}s;animation-timing-function:step-end;animation-iteration-count:infinite}}"
        ".h{opacity:0}@media(prefers-reduced-motion:reduce){.a,.s{animation:none!important}}"
        + "".join(f".{name[:3]}{len(name)}{{fill:{colour}}}" for name, colour in _COLOURS.items())
    )


def _scroll_rule(play: Screenplay, whole_s: float) -> str:
    def moved(top: int) -> str:
        return f"transform:translateY({-top * _HEIGHT}px)"

    steps = "".join(f"{_percent(one.time_s, whole_s)}{{{moved(one.top)}}}" for one in play.scrolls)
    last = moved(play.scrolls[-1].top)
    return f".s{{{last};animation:s {whole_s:.2f}s step-end infinite}}@keyframes s{{{steps}to{{{last}}}}}"


def _lines(play: Screenplay, whole_s: float) -> tuple[Sequence[str], str]:
    """Return the elements of all versions of the lines, and the rules that show each at its time."""
    elements: list[str] = []
    rules: dict[str, str] = {}
    for version in play.versions:
        frames = _frames(version, whole_s)
        name = rules.setdefault(frames, f"k{len(rules)}")
        shown = "a" if version.to_s is None else "a h"
        elements.append(
            f'<text class="{shown}" style="animation-name:{name}" y="{version.line * _HEIGHT + _SIZE}">'
            + "".join(map(_run, version.runs))
            + "</text>"
        )
    return elements, "".join(f"@keyframes {name}{{{frames}}}" for frames, name in rules.items())


def _frames(version: LineVersion, whole_s: float) -> str:
    begin = _percent(version.from_s, whole_s)
    frames = f"{begin}{{opacity:1}}" if begin == "0%" else f"0%{{opacity:0}}{begin}{{opacity:1}}"
    if version.to_s is None:
        return f"{frames}to{{opacity:1}}"
    return f"{frames}{_percent(version.to_s, whole_s)},to{{opacity:0}}"


def _run(run: Run) -> str:
    # The width is fixed, because the letters of another font are a bit wider or narrower.
    named = run.colour if run.colour in _COLOURS else "default"
    classes = [] if named == "default" else [f"{named[:3]}{len(named)}"]
    classes += ["b"] if run.bold else []
    look = f" class={quoteattr(' '.join(classes))}" if classes else ""
    look += f' style="fill:#{run.colour}"' if _OTHER_COLOUR.fullmatch(run.colour) else ""
    return f'<tspan{look} x="{run.column * _WIDTH:g}" textLength="{len(run.text) * _WIDTH:g}">{escape(run.text)}</tspan>'


def _percent(time_s: float, whole_s: float) -> str:
    return f"{100 * time_s / whole_s:.2f}".rstrip("0").rstrip(".") + "%"
