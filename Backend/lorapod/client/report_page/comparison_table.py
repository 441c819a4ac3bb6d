"""All cells of a comparison at a glance: a row for each prompt, a column for each LoRA, labels as text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lorapod.client.report_page.gallery import Images
from lorapod.client.report_page.markup import Child, Markup, element, join, person
from lorapod.client.report_page.pictures import THUMBNAIL_PX

#: A prompt that is longer is cut; all of it stands over its larger images.
_LONGEST = 140

ShownCell = tuple[Mapping[str, Any], Path | None]


def comparison_table(
    cells: Sequence[ShownCell],
    thumbnails: Images,
    *,
    label: Callable[[Mapping[str, Any]], str],
    is_best: Callable[[Mapping[str, Any]], bool],
) -> Markup | None:
    """Return the table; None if there is nothing to lay side by side.

    Args:
        cells: the answer's cells with their images.
        thumbnails: small images of them.
        label: names what drew a cell.
        is_best: whether the recommended LoRA drew it.
    """
    columns = list(dict.fromkeys(label(cell) for cell, _ in cells))
    if len(columns) < 2:
        return None
    best = {label(cell) for cell, _ in cells if is_best(cell)}
    rows: dict[tuple[str, int], dict[str, Path | None]] = {}
    for cell, path in cells:
        rows.setdefault((cell["prompt"], cell["seed"]), {})[label(cell)] = path
    several_seeds = len({seed for _, seed in rows}) > 1
    head = element("tr", element("td", ""), (_heading(column, is_best=column in best) for column in columns))
    body = [
        element(
            "tr",
            element("th", _row_name(prompt, seed if several_seeds else None), scope="row"),
            (_cell(found.get(column), thumbnails, column, is_best=column in best) for column in columns),
        )
        for (prompt, seed), found in rows.items()
    ]
    table = element("table", element("thead", head), element("tbody", body), class_="at-a-glance")
    return element(
        "div", table, class_="scroll", tabindex=0, role="region", aria_label="All cells at a glance"
    )


def _heading(column: str, *, is_best: bool) -> Markup:
    mark = element("span", "recommended", class_="score") if is_best else None
    return element("th", person(column), mark, scope="col", class_="best" if is_best else None)


def _row_name(prompt: str, seed: int | None) -> Markup:
    shown = prompt if len(prompt) <= _LONGEST else f"{prompt[:_LONGEST]}…"
    return join(
        (person(shown), element("span", f"seed {seed}", class_="score faint") if seed is not None else None)
    )


def _cell(path: Path | None, thumbnails: Images, column: str, *, is_best: bool) -> Markup:
    image = None if path is None else thumbnails.get(path)
    shown: Child = Markup("&ndash;")
    if image is not None:
        crisp = "crisp" if max(image.width, image.height) < THUMBNAIL_PX else None
        alt = f"by {column}"
        shown = element(
            "img", src=image.source, alt=alt, width=image.width, height=image.height, class_=crisp
        )
    return element("td", shown, class_="best" if is_best else None)
