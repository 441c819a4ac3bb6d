"""Reads one repaint of a training's progress bar, as tqdm draws it.

The shape is tqdm's own (https://tqdm.github.io/docs/tqdm/#tqdm.format_meter), with the job's name as description and
the learning rate and losses behind the rate:

    my lora:   5%|▌         | 1/20 [00:00<00:06,  2.91it/s, lr: 1.0e-04 loss: 1.187e+00]
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

#: A longer line is not a progress line; the limit saves the time of the regular expression.
MAX_CHARACTERS = 2_000

_ESCAPE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_METER = re.compile(
    r" {0,3}[0-9]{1,3}%\|[^|]*\| (?P<step>[0-9]{1,12})/(?P<total>[0-9]{1,12}) "
    r"\[(?P<elapsed>[0-9:]+)<(?P<eta>\?|[0-9:]+), *(?P<rate>\?|[0-9.]+)(?P<unit>it/s|s/it)(?P<notes>, .*)?\]"
)
_NOTE = re.compile(r"(?P<key>[\w/.-]+): (?P<value>\S+)")


@dataclass(frozen=True, kw_only=True)
class ProgressLine:
    """The numbers of one repaint."""

    #: Completed steps; a repaint may skip some, and may show the old count with the new loss.
    step: int
    total_steps: int
    #: None while the bar does not know it yet.
    steps_per_s: float | None
    eta_s: float | None
    learning_rate: float | None
    #: None if the bar shows no loss, or one that is not finite.
    loss: float | None


def parse_progress(text: str, name: str) -> ProgressLine | None:
    """Read one line of output, without its line end.

    Args:
        text: the line; terminal escape codes in it do not matter.
        name: the description of the bar that counts steps. Other bars share the stream and are not read.

    Returns:
        None where the line is not a repaint of that bar, or of a bar that has run past its own total.
    """
    if len(text) > MAX_CHARACTERS:
        return None
    line = _ESCAPE.sub("", text).strip()
    if not line.startswith(f"{name}: "):
        return None
    meter = _METER.fullmatch(line, len(name) + 2)
    if meter is None:
        return None
    notes = {note["key"]: note["value"] for note in _NOTE.finditer(meter["notes"] or "")}
    return ProgressLine(
        step=int(meter["step"]),
        total_steps=int(meter["total"]),
        steps_per_s=_steps_per_s(meter["rate"], meter["unit"]),
        eta_s=_seconds(meter["eta"]),
        learning_rate=_number(notes.get("lr", "")),
        loss=_number(notes.get("loss", "")),
    )


def _steps_per_s(rate: str, unit: str) -> float | None:
    number = _number(rate)
    if number is None or unit == "it/s":
        return number
    return 1 / number if number > 0 else None


def _seconds(clock: str) -> float | None:
    """Return `mm:ss` or `h:mm:ss` in seconds, and None for `?`."""
    parts = clock.split(":")
    if not all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):
        return None
    seconds = 0
    for part in parts:
        seconds = seconds * 60 + int(part)
    return float(seconds)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
