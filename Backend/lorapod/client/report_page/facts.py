"""The facts of trainings: for one a list, for several a table of what differs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from lorapod.client.money.training_cost import rate_text
from lorapod.client.report_page.markup import Child, Markup, element, join, person
from lorapod.client.report_page.training_report import TrainingReport
from lorapod.client.report_page.values import moment, number, seconds_between, size, span

Fact = Callable[[TrainingReport], Child]

#: A value that is longer is cut; all of it is in the config.
_LONGEST = 300


def fact_list(training: TrainingReport) -> Markup:
    """Return the facts of one training; unknown ones are left out."""
    pairs = ((name, fact(training)) for name, fact in FACTS.items())
    return element(
        "dl",
        (
            element("div", element("dt", name), element("dd", value), class_="fact")
            for name, value in pairs
            if value is not None
        ),
        class_="facts",
    )


def fact_table(trainings: Sequence[TrainingReport]) -> Markup:
    """Return the facts of several trainings side by side; a row whose values differ is marked."""
    head = element(
        "tr",
        element("td", ""),
        (element("th", run_name(training, place), scope="col") for place, training in enumerate(trainings)),
    )
    rows = list(_rows(trainings))
    return _scrolling(element("table", element("thead", head), element("tbody", rows), class_="side-by-side"))


def fact_rows(trainings: Sequence[TrainingReport]) -> Markup:
    """Return what differs between many trainings, a row for each of them."""
    columns = {name: [join((fact(training),)) for training in trainings] for name, fact in FACTS.items()}
    shown = [
        name
        for name, values in columns.items()
        if (len(set(values)) > 1 and name not in _ALWAYS_DIFFERENT) or name in _ALWAYS_SHOWN
    ]
    head = element("tr", element("td", ""), (element("th", name, scope="col") for name in shown))
    rows = [
        element(
            "tr",
            element("th", run_name(training, place), scope="row"),
            (element("td", columns[name][place] or Markup("&ndash;")) for name in shown),
        )
        for place, training in enumerate(trainings)
    ]
    return _scrolling(element("table", element("thead", head), element("tbody", rows), class_="side-by-side"))


def _scrolling(table: Markup) -> Markup:
    label = "Settings and results side by side"
    return element("div", table, class_="scroll", tabindex=0, role="region", aria_label=label)


def run_name(training: TrainingReport, place: int) -> Markup:
    """Return a training's name behind the mark of its line in the chart."""
    mark = element("span", "", class_=f"mark run-{place % 8}", aria_hidden="true")
    return join((mark, person(_cut(training.label))))


def _rows(trainings: Sequence[TrainingReport]) -> Iterator[Markup]:
    for name, fact in FACTS.items():
        values = [join((fact(training),)) for training in trainings]
        if not any(values):
            continue
        differs = len(set(values)) > 1 and name not in _ALWAYS_DIFFERENT
        yield element(
            "tr",
            element("th", name, scope="row"),
            (element("td", value or Markup("&ndash;")) for value in values),
            class_="differs" if differs else None,
        )


def _setting(name: str) -> Fact:
    def fact(training: TrainingReport) -> Child:
        value = (training.process.get("settings") or {}).get(name)
        return None if value in (None, "", []) else _shown(value)

    return fact


def _field(name: str) -> Fact:
    def fact(training: TrainingReport) -> Child:
        value = training.process.get(name)
        return None if value in (None, "") else _shown(value)

    return fact


def _shown(value: Any) -> Child:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return number(value)
    if isinstance(value, list):
        return _joined(value)
    return person(_cut(str(value)))


def _joined(values: Sequence[Any]) -> Markup:
    parts: list[Child] = []
    for place, value in enumerate(values):
        parts += ([", "] if place else [], _shown(value))
    return join(parts)


def _rank(training: TrainingReport) -> Child:
    settings = training.process.get("settings") or {}
    rank, alpha = settings.get("rank"), settings.get("alpha")
    if rank is None:
        return None
    return number(rank) if alpha is None else join((number(rank), " (alpha ", number(alpha), ")"))


def _steps(training: TrainingReport) -> Child:
    progress: Mapping[str, Any] = training.process.get("progress") or {}
    if not progress.get("total_steps"):
        return None
    return join((number(progress.get("step") or 0), " of ", number(progress["total_steps"])))


def _loss(training: TrainingReport) -> Child:
    return None if training.recent_loss is None else number(training.recent_loss)


def _speed(training: TrainingReport) -> Child:
    speed = (training.process.get("progress") or {}).get("steps_per_s")
    return None if not speed else join((number(speed), " steps/s"))


def _trained(training: TrainingReport) -> Child:
    process = training.process
    return span(seconds_between(process.get("started_at"), process.get("ended_at")))


def _waited(training: TrainingReport) -> Child:
    process = training.process
    return span(seconds_between(process.get("created_at"), process.get("started_at")))


def _estimate(training: TrainingReport) -> Child:
    estimate: Mapping[str, Any] = training.process.get("estimate") or {}
    if estimate.get("duration_s") is None:
        return None
    basis = estimate.get("basis")
    return join((span(estimate["duration_s"]), f" ({_cut(str(basis))})" if basis else None))


def _cost(training: TrainingReport) -> Child:
    return None if training.cost is None else training.cost.amounts or None


def _price(training: TrainingReport) -> Child:
    return None if training.cost is None or training.cost.rate is None else rate_text(training.cost.rate)


def _dataset(training: TrainingReport) -> Child:
    dataset: Mapping[str, Any] = training.process.get("dataset") or {}
    if not dataset.get("path"):
        return None
    counts = [
        join((number(dataset[name]), f" {name}"))
        for name in ("images", "videos", "captions")
        if dataset.get(name)
    ]
    return join((person(_cut(str(dataset["path"]))), *(part for count in counts for part in (", ", count))))


def _moment(name: str) -> Fact:
    def fact(training: TrainingReport) -> Child:
        at = training.process.get(name)
        return None if at is None else moment(str(at))

    return fact


def _reason(training: TrainingReport) -> Child:
    return training.process.get("reason_detail") or _field("reason")(training)


def _checkpoints(training: TrainingReport) -> Child:
    found = training.process.get("checkpoints") or ()
    return None if not found else join((number(len(found)), ", the last ", size(found[-1]["size_bytes"])))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


FACTS: Final[Mapping[str, Fact]] = {
    "Status": _field("status"),
    "Reason": _reason,
    "Base model": _field("base_model"),
    "Trigger word": _field("trigger_word"),
    "Learning rate": _setting("learning_rate"),
    "Rank": _rank,
    "Batch size": _setting("batch_size"),
    "Resolution": _setting("resolution"),
    "Optimizer": _setting("optimizer"),
    "Steps": _steps,
    "Loss at the end": _loss,
    "GPU": _field("gpu"),
    "Speed": _speed,
    "Duration": _trained,
    "Waited before": _waited,
    "Estimated duration": _estimate,
    "Cost": _cost,
    "Price of the worker": _price,
    "Dataset": _dataset,
    "Checkpoints": _checkpoints,
    "Trainer": _field("trainer"),
    "Resumed from step": _field("resumed_from_step"),
    "Created": _moment("created_at"),
    "Started": _moment("started_at"),
    "Ended": _moment("ended_at"),
    "Process": _field("process_id"),
}

_ALWAYS_SHOWN: Final = frozenset({"Status", "Loss at the end"})
_ALWAYS_DIFFERENT: Final = frozenset({"Created", "Started", "Ended", "Process", "Waited before"})
