"""The page: sections, style, script and data in one HTML text that requests nothing."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import Any, Final

from lorapod import __version__
from lorapod.client.report_page.comparison_report import ComparisonReport
from lorapod.client.report_page.markup import Markup, element, join, person
from lorapod.client.report_page.pictures import PictureBook
from lorapod.client.report_page.sections import PageSection, chart_data, sections
from lorapod.client.report_page.training_report import TrainingReport
from lorapod.client.report_page.values import moment

#: The whole page is smaller; mail servers refuse what is much larger.
MOST_BYTES: Final = 5_000_000

#: What the images leave to everything else at least.
_SPARE_BYTES = 60_000

#: Small images of comparisons: of more, the table has gaps.
_MOST_THUMBNAILS = 240

_STYLES = ("uPlot.min.css", "style.css")
_CHART_LIBRARY = "uPlot.iife.min.js"
_SCRIPTS = ("locale.js", "chart.js", "samples.js", "lightbox.js", "live.js", "start.js")


class ReportPage:
    """The page about one or several trainings, in its present version."""

    def __init__(
        self,
        trainings: Sequence[TrainingReport],
        book: PictureBook,
        comparisons: Sequence[ComparisonReport] = (),
    ) -> None:
        """Make the page; `book` keeps images for its next version.

        Raises:
            LorapodError: Pillow is not installed.
        """
        self._trainings = trainings = _each_dataset_once(trainings)
        shown = [*(one.images for one in trainings), *(one.drawn for one in comparisons)]
        paths = list(dict.fromkeys(path for images in shown for path in images))
        drawn = dict.fromkeys(path for one in comparisons for path in one.drawn)
        small = book.thumbnails(list(drawn)[:_MOST_THUMBNAILS])
        bare = len(
            _document(trainings, list(sections(trainings, {}, comparisons, thumbnails=small)), None).encode()
        )
        images = book.embed(paths, MOST_BYTES - bare - _SPARE_BYTES - 200 * len(paths)) if paths else {}
        self.sections: Sequence[PageSection] = list(
            sections(trainings, images, comparisons, thumbnails=small)
        )

    @property
    def data(self) -> dict[str, Any]:
        """What the page's script draws."""
        return chart_data(self._trainings)

    def html(self, *, live_version: int | None = None) -> str:
        """Return the whole page; if it has a live version, it asks its server for later ones."""
        return _document(self._trainings, self.sections, live_version)


def _each_dataset_once(trainings: Sequence[TrainingReport]) -> Sequence[TrainingReport]:
    """Return the trainings with each dataset's contact sheet at the first one that learns from it."""
    seen: set[str] = set()
    found = []
    for training in trainings:
        path = str((training.process.get("dataset") or {}).get("path"))
        found.append(replace(training, dataset_sheet=None) if path in seen else training)
        seen.add(path)
    return found


def _document(
    trainings: Sequence[TrainingReport], parts: Sequence[PageSection], live_version: int | None
) -> str:
    title = _title(trainings)
    style = "".join(_asset(name) for name in _STYLES)
    library, script = _asset(_CHART_LIBRARY), _script()
    policy = {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": f"'sha256-{_digest(style)}'",
        "script-src": f"'sha256-{_digest(library)}' 'sha256-{_digest(script)}'",
        "connect-src": "'none'" if live_version is None else "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    head = join(
        (
            element("meta", charset="utf-8"),
            element("meta", name="viewport", content="width=device-width, initial-scale=1"),
            element(
                "meta",
                http_equiv="Content-Security-Policy",
                content="; ".join(f"{name} {value}" for name, value in policy.items()),
            ),
            element("meta", name="referrer", content="no-referrer"),
            element("meta", name="color-scheme", content="light dark"),
            element("title", f"{title}: training report"),
            Markup(f"<style>{style}</style>"),
        )
    )
    data = json.dumps(chart_data(trainings), ensure_ascii=True, allow_nan=False).replace("<", "\\u003c")
    body = join(
        (
            element("header", element("h1", person(title)), class_="top"),
            element("p", "", id="connection", role="status", class_="faint", hidden=True),
            element("main", (part.html() for part in parts)),
            _lightbox(),
            _footer(),
            Markup(f'<script type="application/json" id="data">{data}</script>'),
            Markup(f"<script>{library}</script>"),
            Markup(f"<script>{script}</script>"),
        )
    )
    page = element("html", element("head", head), element("body", body, data_live=live_version), lang="en")
    return f"<!doctype html>\n{page}\n"


def _title(trainings: Sequence[TrainingReport]) -> str:
    """Return what the page is about, in a few words."""
    if len(trainings) > 2:
        return f"{trainings[0].name[:80]} and {len(trainings) - 1} other trainings"
    return " and ".join(training.label[:200] for training in trainings)


def _lightbox() -> Markup:
    """Return the dialog in which samples are shown large; the page's script fills it."""
    stage = element(
        "div",
        element("img", id="large", alt=""),
        element("img", id="large-before", alt="", hidden=True),
        element("span", "", class_="tag before", id="before-tag", hidden=True),
        element("span", "", class_="tag after", id="after-tag", hidden=True),
        class_="stage",
        id="stage",
    )
    return element(
        "dialog",
        element(
            "div",
            element("p", "", id="lightbox-title", dir="auto"),
            element("button", "Close", type="button", id="close-lightbox"),
            class_="lightbox-top",
        ),
        stage,
        element(
            "div",
            element("label", "Step", for_="lightbox-step"),
            element("input", type="range", id="lightbox-step", min=0, max=0, value=0, step=1),
            element("output", "", for_="lightbox-step", id="lightbox-step-shown"),
            class_="controls",
            id="lightbox-steps",
        ),
        element(
            "div",
            element("label", "Before and after", for_="before-with"),
            element("select", id="before-with"),
            element("label", "Divide", for_="divide", id="divide-label", hidden=True),
            element("input", type="range", id="divide", min=0, max=100, value=50, step=1, hidden=True),
            class_="controls",
            id="lightbox-before",
        ),
        element(
            "div",
            element("button", "Previous prompt", type="button", id="previous-prompt"),
            element("button", "Next prompt", type="button", id="next-prompt"),
            class_="controls",
        ),
        id="lightbox",
        aria_labelledby="lightbox-title",
    )


def _footer() -> Markup:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return element("footer", f"Made by lorapod {__version__}, ", moment(now), class_="faint")


@cache
def _asset(name: str) -> str:
    return resources.files("lorapod.client.report_page").joinpath("assets", name).read_text("utf-8")


def _script() -> str:
    """Return the page's script: one function, so that it leaves no global name."""
    return '(() => {\n"use strict";\n' + "".join(_asset(name) for name in _SCRIPTS) + "})();\n"


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
