"""What the page shows of a comparison of checkpoints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from lorapod.client.report_page.comparison_table import comparison_table
from lorapod.client.report_page.gallery import Images, folded, picture
from lorapod.client.report_page.markup import Child, Markup, element, join, person
from lorapod.client.report_page.values import number

#: Checkpoints of the ranking that are listed.
_MOST_RANKED = 20


@dataclass(frozen=True, kw_only=True)
class ComparisonReport:
    """What is known of a comparison."""

    #: The answer of `process_status`.
    process: Mapping[str, Any]
    #: Each cell that the page shows, with its image on this machine; None if it could not be fetched.
    cells: Sequence[tuple[Mapping[str, Any], Path | None]]

    @property
    def drawn(self) -> Sequence[Path]:
        """The images of its cells."""
        return [image for _, image in self.cells if image is not None]

    @property
    def several(self) -> bool:
        """Whether its LoRAs have different trainings, so that a step alone names none."""
        return len(self.trainings) > 1

    @property
    def trainings(self) -> frozenset[str]:
        """The trainings whose checkpoints it compares."""
        return frozenset(cell["process_id"] for cell, _ in self.cells if cell.get("process_id"))


def comparison_part(comparison: ComparisonReport, images: Images, thumbnails: Images) -> Markup | None:
    """Return the recommendation, the ranking, and the cells by prompt; None if nothing was drawn."""
    if not comparison.cells:
        return None
    process = comparison.process
    shown, drawn = len(comparison.cells), len(process.get("cells") or ())
    note: list[Child] = []
    if shown < drawn:
        note += [number(shown), " of ", number(drawn), " cells. "]
    if process.get("grid_path"):
        note += ["All cells and images of the dataset in one image: ", person(str(process["grid_path"]))]
    several = comparison.several
    return join(
        (
            _recommendation(process, several=several),
            _ranking(process, several=several),
            comparison_table(
                comparison.cells,
                thumbnails,
                label=partial(_label, several=several),
                is_best=partial(_is_best, process.get("recommended") or {}),
            ),
            element("div", _groups(comparison, images), class_="prompts compared"),
            element("p", *note, class_="faint") if note else None,
        )
    )


def _groups(comparison: ComparisonReport, images: Images) -> Iterator[Markup]:
    best: Mapping[str, Any] = comparison.process.get("recommended") or {}
    rows: dict[tuple[str, int], list[Markup]] = {}
    for cell, path in comparison.cells:
        rows.setdefault((cell["prompt"], cell["seed"]), []).append(
            _cell(cell, path, images, best, several=comparison.several)
        )
    seeds = {seed for _, seed in rows}
    for (prompt, seed), items in rows.items():
        title = join((folded(prompt), f" (seed {seed})" if len(seeds) > 1 else None))
        card = element("div", element("ol", items, class_="strip"), class_="card")
        yield element("section", element("h3", title), card, class_="prompt")


def _cell(
    cell: Mapping[str, Any],
    path: Path | None,
    images: Images,
    best: Mapping[str, Any],
    *,
    several: bool,
) -> Markup:
    image = None if path is None else images.get(path)
    label = _label(cell, several=several)
    shown: Child
    if image is None:
        shown = element("p", "Not in this page: ", person(str(cell["path"])), class_="missing")
    else:
        shown = picture(image, f"“{cell['prompt'][:200]}” drawn by {label}")
    is_best = _is_best(best, cell)
    scores = [
        join((f"{name.replace('_', ' ')} ", number(value)))
        for name, value in (cell.get("scores") or {}).items()
    ]
    caption = element(
        "figcaption",
        label,
        ", recommended" if is_best else None,
        (element("span", score, class_="score") for score in scores),
    )
    return element(
        "li",
        element("figure", shown, caption),
        data_step=0,
        data_label=label,
        class_="best" if is_best else None,
    )


def _is_best(best: Mapping[str, Any], cell: Mapping[str, Any]) -> bool:
    """Return whether the recommended LoRA drew a cell."""
    return bool(best) and all(best.get(name) == cell.get(name) for name in ("process_id", "step", "weight"))


def _label(cell: Mapping[str, Any], *, several: bool) -> str:
    """Return what tells a LoRA from the others; `several`: they have different trainings."""
    weight = cell.get("weight")
    if weight == 0:
        return "the base model"
    lora = str(cell.get("lora") or "LoRA").removesuffix(".safetensors")
    training = lora.removesuffix(f"_{cell['step']:09d}") if cell.get("step") is not None else lora
    if cell.get("step") is None:
        name = lora[:60]
    else:
        title = str(cell.get("variant_label") or training[:60])
        name = f"{title}, step {cell['step']}" if several else f"step {cell['step']}"
    return name if weight in (None, 1) else f"{name}, weight {weight:g}"


def _recommendation(process: Mapping[str, Any], *, several: bool) -> Markup | None:
    best: Mapping[str, Any] = process.get("recommended") or {}
    if not best:
        return None
    return element("p", "Recommended: ", _label(best, several=several), ".", class_="recommended")


def _ranking(process: Mapping[str, Any], *, several: bool) -> Markup | None:
    ranked: Sequence[Mapping[str, Any]] = process.get("ranking") or ()
    items = [
        element(
            "li",
            _label(one, several=several),
            ": ",
            number(one["score"]),
            (element("span", " ", str(reason), class_="faint") for reason in one.get("reasons") or ()),
        )
        for one in ranked[:_MOST_RANKED]
    ]
    return element("ol", items, class_="ranking") if items else None
