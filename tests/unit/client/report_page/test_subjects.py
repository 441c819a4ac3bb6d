"""What a page is about: a sweep stands for its trainings, and a comparison is found for its training."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tests.report_worker import PROMPTS, ReportWorker

from lorapod.client import Client
from lorapod.client.errors import LorapodError
from lorapod.client.report_page.page import ReportPage
from lorapod.client.report_page.pictures import PictureBook
from lorapod.client.report_page.subjects import find_subjects
from lorapod.testing.fake_queue import FakeQueue

TRAINING, COMPARISON, SWEEP = "train_0123456789ab", "compare_0123456789ab", "sweep_0123456789ab"


@pytest.fixture
def worker(queue: FakeQueue) -> ReportWorker:
    worker = ReportWorker(queue)
    worker.add_training(steps=(0, 100), side=24, points=9)
    return worker


def page_of(client: Client, scratch: Path, *ids: str) -> str:
    found = find_subjects(client, ids, scratch)
    return ReportPage(
        [one.read() for one in found.trainings], PictureBook(), [one.read() for one in found.comparisons]
    ).html()


@pytest.mark.parametrize("named", [TRAINING, COMPARISON])
def test_a_comparison_is_shown_with_its_training(
    client: Client, worker: ReportWorker, tmp_path: Path, named: str
) -> None:
    worker.add_comparison(side=24)
    worker.add_comparison("compare_0123456789ac", training="train_0123456789ff")

    page = page_of(client, tmp_path, named)

    assert page.count('id="comparison"') == 1
    assert "Recommended: step 1000." in page
    assert "closest to the dataset" in page
    assert len(re.findall(r'<li [^>]*class="best"', page)) == 2
    assert page.count("drawn by the base model") == 2
    assert page.count("likeness <data") == 6
    assert page.count("All cells and images of the dataset in one image") == 1
    assert f"output/{COMPARISON}/grid.png" in page
    assert page.count(PROMPTS[3]) >= 1
    (table,) = re.findall(r'<table class="at-a-glance".*?</table>', page, re.DOTALL)
    columns = re.findall(r'<th scope="col"[^>]*><bdi>([^<]+)', table)
    assert columns == ["the base model", "step 500", "step 1000", "step 1500"]
    assert table.count("<img") == 8, "each cell has its image, small"
    assert table.count("recommended") == 1


def test_the_loras_of_several_trainings_are_told_apart_by_name(
    client: Client, worker: ReportWorker, tmp_path: Path
) -> None:
    worker.add_training("train_0123456789ac", steps=(0, 100), side=24, points=9)
    process = worker.add_comparison(side=24)
    for cell in process["cells"]:
        if cell["step"] == 1500:
            cell |= {"process_id": "train_0123456789ac", "lora": "cat-02_000001500.safetensors"}

    page = page_of(client, tmp_path, COMPARISON)

    assert "cat-02, step 1500" in page
    assert "cat, step 500" in page

    for cell in process["cells"]:
        if cell["step"] == 1500:
            cell["variant_label"] = "rank 8, learning rate 0.0001"

    page = page_of(client, tmp_path, COMPARISON)

    assert "rank 8, learning rate 0.0001, step 1500" in page
    assert "cat-02, step 1500" not in page


def test_a_comparison_that_draws_is_read_again(client: Client, worker: ReportWorker, tmp_path: Path) -> None:
    process = worker.add_comparison(side=24)
    cells, process["cells"] = process["cells"], process["cells"][:3]
    (reader,) = find_subjects(client, [COMPARISON], tmp_path).comparisons
    assert len(reader.read().drawn) == 3
    process["cells"] = cells
    assert len(reader.read().drawn) == 8


def test_a_training_that_was_never_compared_has_no_such_section(
    client: Client, worker: ReportWorker, tmp_path: Path
) -> None:
    worker.add_comparison(training="train_0123456789ff")

    assert 'id="comparison"' not in page_of(client, tmp_path, TRAINING)


def test_a_sweep_stands_for_its_trainings(client: Client, worker: ReportWorker, tmp_path: Path) -> None:
    variants: dict[str, Any] = {TRAINING: {"rank": 8, "learning_rate": 0.1 + 0.2}}
    for number in range(4):
        name = f"train_0123456789b{number}"
        variants[name] = {"rank": 16 * (number + 1)}
        worker.add_training(name, steps=(0, 100), side=24, points=9, settings=variants[name])
    worker.add_sweep(variants)

    page = page_of(client, tmp_path, SWEEP)

    (table,) = re.findall(r"<table.*?</table>", page, re.DOTALL)
    assert re.findall(r'scope="col">([^<]+)', table) == ["Status", "Rank", "Loss at the end"]
    assert re.findall(r"<bdi>(rank [^<]+)</bdi></th>", table) == [
        "rank 8, learning rate 0.3",
        "rank 16",
        "rank 32",
        "rank 48",
        "rank 64",
    ]
    assert page.count("IMG_0007.png has no caption") == 1
    assert page.count("Contact sheet: images") == 1
    assert page.count('class="prompt"') == 4
    assert "<h1><bdi>cat and 4 other trainings</bdi></h1>" in page


def test_a_sweep_that_started_nothing_has_no_page(
    client: Client, worker: ReportWorker, tmp_path: Path
) -> None:
    worker.add_sweep({})

    with pytest.raises(LorapodError, match="has no training yet") as caught:
        find_subjects(client, [SWEEP], tmp_path)
    assert f"lorapod status {SWEEP}" in caught.value.hint
