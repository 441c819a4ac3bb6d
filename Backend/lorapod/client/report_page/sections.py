"""The sections of the page, from the first thing that a reader wants to know to the last."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lorapod.client.report_page.chart import line_chart
from lorapod.client.report_page.comparison_report import ComparisonReport, comparison_part
from lorapod.client.report_page.curve import Curve
from lorapod.client.report_page.facts import fact_list, fact_rows, fact_table, run_name
from lorapod.client.report_page.gallery import Images, folded, gallery, picture
from lorapod.client.report_page.markup import Child, Markup, element, join, person
from lorapod.client.report_page.training_report import LIKENESS, LOSS, TrainingReport
from lorapod.client.report_page.values import moment, number, seconds_between, size, span

#: A longer text is cut: a page is too narrow for it.
_MOST_TEXT = 60_000

#: Of more trainings, each is a row of the table instead of a column.
_MOST_COLUMNS = 3


@dataclass(frozen=True, kw_only=True)
class PageSection:
    """One section: replaced as a whole when it changes in a live page."""

    name: str
    title: str
    body: Markup

    def html(self) -> Markup:
        """Return the section with its heading."""
        heading = element("h2", self.title, id=f"{self.name}-title")
        return element(
            "section", heading, self.body, id=self.name, aria_labelledby=f"{self.name}-title", class_="part"
        )


def sections(
    trainings: Sequence[TrainingReport],
    images: Images,
    comparisons: Sequence[ComparisonReport] = (),
    *,
    thumbnails: Images | None = None,
) -> Iterator[PageSection]:
    """Yield every section that has something to show; `thumbnails` are small images of the comparisons' cells."""
    found: list[tuple[str, str, Markup | None]] = [
        ("state", "State", _each(trainings, _state)),
        ("failure", "What went wrong", _each(trainings, _failure)),
        ("warnings", "Warnings", _warnings(trainings)),
        ("samples", "Samples", gallery(trainings, images)),
        ("comparison", "Comparison of checkpoints", _comparisons(comparisons, images, thumbnails or {})),
        ("loss", "Loss", _loss(trainings)),
        ("likeness", "Likeness of the samples to the dataset", _likeness(trainings)),
        ("facts", "Settings and results", _facts(trainings)),
        ("dataset", "Dataset", _each(trainings, lambda training: _dataset(training, images))),
        ("checkpoints", "Checkpoints", _each(trainings, _checkpoints)),
        ("config", "Config", _each(trainings, _config)),
        ("log", "End of the log", _each(trainings, _log)),
    ]
    for name, title, body in found:
        if body:
            yield PageSection(name=name, title=title, body=body)


def chart_data(trainings: Sequence[TrainingReport]) -> dict[str, Any]:
    """Return the curves for the page's script."""
    return {
        "series": [
            {"key": key, "name": training.label, "run": place, **curve.data()}
            for place, training in enumerate(trainings)
            for key, curve in _losses(training).items()
        ]
    }


def _each(trainings: Sequence[TrainingReport], show: Any) -> Markup | None:
    """Return what each training shows, under its name if there are several."""
    parts: list[Child] = []
    for place, training in enumerate(trainings):
        if not (shown := show(training)):
            continue
        title = element("h3", run_name(training, place)) if len(trainings) > 1 else None
        parts.append(element("div", title, shown, class_="of-run"))
    return element("div", parts, class_="runs") if parts else None


def _state(training: TrainingReport) -> Markup:
    process: Mapping[str, Any] = training.process
    progress: Mapping[str, Any] = process.get("progress") or {}
    status = str(process["status"])
    done, total = progress.get("step") or 0, progress.get("total_steps")
    spent = span(seconds_between(process.get("started_at"), process.get("ended_at")))
    parts: list[Child] = [element("span", status, class_=f"status {status}")]
    if process.get("phase"):
        parts.append(element("span", str(process["phase"]).replace("_", " ")))
    if total:
        parts.append(element("span", "step ", number(done), " of ", number(total)))
    if training.recent_loss is not None:
        parts.append(element("span", "loss ", number(training.recent_loss)))
    if process.get("ended_at") is None and progress.get("eta_s") is not None:
        parts.append(element("span", span(progress["eta_s"]), " left"))
    if spent is not None:
        parts.append(element("span", spent, " of training"))
    if training.cost is not None and training.cost.amounts:
        parts.append(element("span", training.cost.amounts))
    if process.get("gpu"):
        parts.append(element("span", "on ", person(str(process["gpu"]))))
    line = element("p", *parts, class_="lead")
    bar = None
    if total and process.get("ended_at") is None:
        bar = element("progress", value=min(done, total), max=total, aria_label="Steps that are done")
    return join((line, bar))


def _failure(training: TrainingReport) -> Markup | None:
    failure: Mapping[str, Any] = training.process.get("failure") or {}
    if not failure:
        return None
    return join(
        (
            element("p", folded(str(failure.get("message") or "")), class_="failed"),
            element("p", folded(str(failure["hint"]))) if failure.get("hint") else None,
            _pre(_tail(training), class_="tail") if _tail(training) else None,
        )
    )


def _warnings(trainings: Sequence[TrainingReport]) -> Markup | None:
    """Return the warnings that all trainings share, and then those of each."""
    said = [_said(training) for training in trainings]
    shared = [text for text in said[0] if all(text in each for each in said)]
    own = {
        id(training): [text for text in each if text not in shared]
        for training, each in zip(trainings, said, strict=True)
    }
    parts = join((_texts(shared), _each(trainings, lambda training: _texts(own[id(training)]))))
    return parts or None


def _said(training: TrainingReport) -> Sequence[str]:
    dataset: Mapping[str, Any] = training.process.get("dataset") or {}
    said = [*(training.process.get("warnings") or ()), *(dataset.get("warnings") or ())]
    return list(dict.fromkeys(str(warning) for warning in said))


def _texts(texts: Sequence[str]) -> Markup | None:
    return element("ul", (element("li", folded(text)) for text in texts)) if texts else None


def _loss(trainings: Sequence[TrainingReport]) -> Markup | None:
    curves: list[tuple[str, Curve]] = [
        (training.label, curve) for training in trainings if (curve := training.curves.get(LOSS)) is not None
    ]
    label = f"Loss by step of {', '.join(name[:80] for name, _ in curves)}"
    chart = line_chart(curves, label=label)
    if chart is None:
        return None
    controls = element(
        "div",
        element("label", "Smoothing", for_="smoothing"),
        element("input", type="range", id="smoothing", min=0, max=99, value=90, step=1),
        element("label", element("input", type="checkbox", id="logarithmic"), " Logarithmic", class_="check"),
        class_="controls needs-script",
        hidden=True,
    )
    interactive = element("div", "", id="chart", class_="needs-script", hidden=True)
    return join((controls, interactive, chart, _thinning([curve for _, curve in curves])))


def _likeness(trainings: Sequence[TrainingReport]) -> Markup | None:
    """Return the curve of those trainings that an early stop watches by it."""
    curves = [(one.label, one.curves[LIKENESS]) for one in trainings if LIKENESS in one.curves]
    label = f"Likeness by step of {', '.join(name[:80] for name, _ in curves)}"
    return line_chart(curves, label=label, unit="likeness", from_zero=False, class_="chart-only")


def _thinning(curves: Sequence[Curve]) -> Markup | None:
    """Return what the points of long curves stand for."""
    said: list[Child] = []
    if (stride := max(curve.stride for curve in curves)) > 1:
        said += ["Of every ", number(stride), " logged values one was read. "]
    if (merged := max(curve.merged for curve in curves)) > 1:
        said += [
            "Each point is the mean of ",
            number(merged),
            " values; the band goes from the lowest to the highest.",
        ]
    return element("p", *said, class_="faint") if said else None


def _losses(training: TrainingReport) -> Mapping[str, Curve]:
    """Return the loss first, and every other loss, for example that of a validation."""
    keys = sorted((key for key in training.curves if "loss" in key), key=lambda key: (key != LOSS, key))
    return {key: training.curves[key] for key in keys}


def _facts(trainings: Sequence[TrainingReport]) -> Markup:
    if len(trainings) == 1:
        return fact_list(trainings[0])
    return fact_table(trainings) if len(trainings) <= _MOST_COLUMNS else fact_rows(trainings)


def _comparisons(
    comparisons: Sequence[ComparisonReport], images: Images, thumbnails: Images
) -> Markup | None:
    parts = [part for one in comparisons if (part := comparison_part(one, images, thumbnails)) is not None]
    return join(parts) if parts else None


def _dataset(training: TrainingReport, images: Images) -> Markup | None:
    sheet = None if training.dataset_sheet is None else images.get(training.dataset_sheet)
    if sheet is None:
        return None
    button = element(
        "button",
        picture(sheet, "Contact sheet: images of the dataset with their captions"),
        type="button",
        class_="open",
        data_title="Dataset",
    )
    return element("div", button, class_="sheet")


def _checkpoints(training: TrainingReport) -> Markup | None:
    rows = [
        element(
            "li",
            element("code", person(str(checkpoint["path"]))),
            element(
                "span",
                "step ",
                number(checkpoint["step"] or 0),
                ", ",
                size(checkpoint["size_bytes"]),
                ", ",
                moment(str(checkpoint["created_at"])),
                ", final" if checkpoint.get("final") else None,
                class_="faint",
            ),
        )
        for checkpoint in training.process.get("checkpoints") or ()
    ]
    return element("ul", rows, class_="files") if rows else None


def _config(training: TrainingReport) -> Markup | None:
    if not training.config:
        return None
    return element("details", element("summary", "Show the config"), _pre(training.config))


def _log(training: TrainingReport) -> Markup | None:
    if training.process.get("failure") or not _tail(training):
        return None
    return element("details", element("summary", "Show the last lines"), _pre(_tail(training)))


def _tail(training: TrainingReport) -> str:
    return "\n".join(str(line) for line in training.process.get("log_tail") or ())


def _pre(text: str, *, class_: str | None = None) -> Markup:
    shown = (
        text
        if len(text) <= _MOST_TEXT
        else f"{text[:_MOST_TEXT]}\n… {len(text) - _MOST_TEXT:,} more characters"
    )
    return element("pre", shown, tabindex=0, dir="ltr", class_=class_)
