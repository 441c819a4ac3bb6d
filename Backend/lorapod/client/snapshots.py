"""A training at one moment, as a notebook shows it: how far it is, its loss so far, and its newest samples."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from lorapod.client.progress import ENDED, Progress
from lorapod.client.report_page.curve import curve_of
from lorapod.client.report_page.markup import Markup, element, person
from lorapod.wire.process import ProcessSummary

#: Longest side of a sample, in pixels.
_SIDE_PX = 256
#: A sample that cannot be made smaller, because Pillow is not installed, is shown up to this size.
_WHOLE_BYTES = 400_000

_WIDTH, _HEIGHT, _MARGIN = 480, 120, 4
_MOST_POINTS = 240

_BOX = "font:13px/1.5 system-ui,sans-serif;max-width:640px;padding:8px 0"
_FAINT = "opacity:.7"
_STRIP = "display:flex;flex-wrap:wrap;gap:8px;margin-top:8px"


@dataclass(frozen=True, kw_only=True)
class SampleImage:
    """One sample of a training."""

    step: int
    #: Which of the sample prompts it shows, from 0.
    index: int
    prompt: str
    #: A data URI; None if the image is too large to be shown.
    source: str | None = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class TrainingSnapshot:
    """A training at one moment. As the last value of a notebook's cell it is drawn; nothing in it is loaded from elsewhere.

    Attributes:
        process: what is known of it.
        losses: pairs of step and loss.
        samples: its newest samples.
    """

    process: ProcessSummary
    losses: Sequence[tuple[int, float]] = ()
    samples: Sequence[SampleImage] = ()

    def __str__(self) -> str:
        return str(Progress(process=self.process, answer={}))

    def _repr_html_(self) -> str:
        process = self.process
        title = element(
            "div",
            element("b", person(process.name)),
            " ",
            element("code", process.process_id),
        )
        return element(
            "div",
            title,
            _bar(process),
            element("div", str(self).removeprefix(process.process_id).strip(), style=_FAINT),
            None if process.failure is None else element("div", process.failure.message, style="color:#c33"),
            _chart(self.losses),
            element("div", [_figure(sample) for sample in self.samples], style=_STRIP)
            if self.samples
            else None,
            style=_BOX,
        )


def unseen(name: str) -> str:
    """Return what a notebook shows of a training that was not looked at yet."""
    return element("div", element("code", name), ": call wait() or snapshot() to see it.", style=_BOX)


def sample_image(data: bytes, *, step: int, index: int, prompt: str) -> SampleImage:
    """Return a sample as a snapshot shows it, small; blocks."""
    return SampleImage(step=step, index=index, prompt=prompt, source=_source(data))


def _source(data: bytes) -> str | None:
    try:
        from PIL import Image
    except ModuleNotFoundError:
        kind = "png" if data.startswith(b"\x89PNG") else "webp" if data[8:12] == b"WEBP" else "jpeg"
        return _data_uri(data, kind) if len(data) <= _WHOLE_BYTES else None
    try:
        with Image.open(io.BytesIO(data)) as opened:
            image = opened.convert("RGB")
            image.thumbnail((_SIDE_PX, _SIDE_PX))
            written = io.BytesIO()
            image.save(written, "WEBP", quality=80)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
    return _data_uri(written.getvalue(), "webp")


def _data_uri(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _bar(process: ProcessSummary) -> Markup | None:
    percent = process.progress.percent
    if percent is None and process.progress.total_steps:
        percent = 100.0 * process.progress.step / process.progress.total_steps
    if percent is None:
        return None
    done = "100%" if process.status == "completed" else f"{min(100.0, max(0.0, percent)):.1f}%"
    colour = "#4a7" if process.status not in ENDED or process.status == "completed" else "#c83"
    inner = element("div", style=f"width:{done};height:8px;background:{colour};border-radius:4px")
    return element(
        "div",
        inner,
        role="img",
        aria_label=f"{done} done",
        style="background:rgba(128,128,128,.25);border-radius:4px;margin:4px 0",
    )


def _chart(losses: Sequence[tuple[int, float]]) -> Markup | None:
    """Return the loss as a line; None if there are not two points."""
    curve = curve_of(losses, most=_MOST_POINTS)
    points = [
        (step, value) for step, value in zip(curve.steps, curve.values, strict=True) if value is not None
    ]
    if len(points) < 2:
        return None
    first, last = points[0][0], points[-1][0]
    low, high = min(value for _, value in points), max(value for _, value in points)
    across = (_WIDTH - 2 * _MARGIN) / max(1, last - first)
    down = (_HEIGHT - 2 * _MARGIN) / ((high - low) or 1.0)
    path = "M" + "L".join(
        f"{_MARGIN + (step - first) * across:.1f} {_MARGIN + (high - value) * down:.1f}"
        for step, value in points
    )
    finite = [(step, value) for step, value in losses if math.isfinite(value)]
    shown = f"Loss from step {finite[0][0]} to {finite[-1][0]}: {finite[0][1]:.4g} to {finite[-1][1]:.4g}"
    line = element("path", d=path, fill="none", stroke="#48c", stroke_width=1.5)
    svg = element(
        "svg",
        line,
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        width=_WIDTH,
        height=_HEIGHT,
        role="img",
        aria_label=shown,
        style="max-width:100%;background:rgba(128,128,128,.08);border-radius:4px",
    )
    return element(
        "div", svg, element("div", f"{shown} (lowest {min(value for _, value in finite):.4g})", style=_FAINT)
    )


def _figure(sample: SampleImage) -> Markup:
    label = f"step {sample.step}"
    if sample.source is None:
        image = element("div", "too large to be shown without Pillow", style=_FAINT)
    else:
        image = element(
            "img", src=sample.source, alt=sample.prompt or label, title=sample.prompt, style="max-width:150px"
        )
    return element(
        "figure", image, element("figcaption", label, style=_FAINT), style="margin:0;max-width:150px"
    )
