"""The samples: for each prompt its images by step, of each training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from lorapod.client.report_page.facts import run_name
from lorapod.client.report_page.markup import Child, Markup, element, join, person
from lorapod.client.report_page.pictures import EmbeddedImage
from lorapod.client.report_page.training_report import SampleFrame, TrainingReport
from lorapod.client.report_page.values import number

Images = Mapping[Path, EmbeddedImage]

#: A prompt that is longer is folded.
_LONG_PROMPT = 240

#: The text in `alt`, which cannot be folded.
_LONG_ALT = 200


def gallery(trainings: Sequence[TrainingReport], images: Images) -> Markup | None:
    """Return the samples, grouped by prompt; None if there are none."""
    prompts = list(dict.fromkeys(frame.prompt for training in trainings for frame in training.frames))
    if not prompts:
        return None
    groups = [_group(prompt, trainings, images) for prompt in prompts]
    kind = "several" if len(trainings) > 1 else "single"
    shown = sum(len(training.frames) for training in trainings)
    all_samples = sum(training.all_samples for training in trainings)
    note = f"{shown} of {all_samples} samples, evenly chosen." if shown < all_samples else None
    return join(
        (
            _controls(),
            element("div", groups, class_=f"prompts {kind}"),
            None if note is None else element("p", note, class_="faint"),
        )
    )


def _controls() -> Markup:
    """Return the controls that the page's script shows and works."""
    return element(
        "div",
        element("label", "Step", for_="step"),
        element("input", type="range", id="step", min=0, max=0, value=0, step=1),
        element("output", "", for_="step", id="step-shown"),
        element("button", "All steps", type="button", id="all-steps", aria_pressed="false"),
        class_="controls needs-script",
        hidden=True,
    )


def _group(prompt: str, trainings: Sequence[TrainingReport], images: Images) -> Markup:
    strips = [
        _strip(place, training, frames, images, several=len(trainings) > 1)
        for place, training in enumerate(trainings)
        if (frames := [frame for frame in training.frames if frame.prompt == prompt])
    ]
    return element(
        "section",
        element("h3", folded(prompt)),
        element("div", strips, class_="cards"),
        class_="prompt",
    )


def _strip(
    place: int, training: TrainingReport, frames: Iterable[SampleFrame], images: Images, *, several: bool
) -> Markup:
    name = element("p", run_name(training, place), class_="run") if several else None
    label = training.name if several else None
    items = [_item(frame, images, label) for frame in frames]
    return element("div", name, element("ol", items, class_="strip"), class_="card")


def _item(frame: SampleFrame, images: Images, run: str | None) -> Markup:
    image = None if frame.image is None else images.get(frame.image)
    shown: Child
    if image is None:
        shown = element("p", "Not in this page: ", person(frame.stored_as), class_="missing")
    else:
        still = "First frame of the sample" if image.animated else "Sample"
        alt = f"{still} of “{_short(frame.prompt)}” at step {frame.step}"
        alt += f", training {_short(run)}" if run else ""
        shown = picture(image, alt)
    caption = element("figcaption", "step ", number(frame.step))
    return element("li", element("figure", shown, caption), data_step=frame.step)


def picture(image: EmbeddedImage, alt: str, **attributes: str) -> Markup:
    """Return an image of the page."""
    crisp = "crisp" if max(image.width, image.height) <= 128 else None
    return element(
        "img",
        src=image.source,
        alt=alt,
        width=image.width,
        height=image.height,
        class_=crisp,
        **attributes,
    )


def folded(text: str) -> Markup:
    """Return text of any length; if it is long, its rest is folded away."""
    if len(text) <= _LONG_PROMPT:
        return person(text)
    return element(
        "details",
        element("summary", person(f"{text[:_LONG_PROMPT]}…")),
        person(text),
        class_="long",
    )


def _short(text: str) -> str:
    return text if len(text) <= _LONG_ALT else f"{text[:_LONG_ALT]}…"
