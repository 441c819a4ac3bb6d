"""The page as a file: one, small, safe, and readable without its script."""

from __future__ import annotations

import re
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from tests.report_worker import ReportWorker, painting

from lorapod.client import Client
from lorapod.client.money.price_book import PriceBook
from lorapod.client.report_page.page import MOST_BYTES, ReportPage
from lorapod.client.report_page.pictures import PictureBook
from lorapod.client.report_page.reading import TrainingReader
from lorapod.platform.prices import HourlyRate
from lorapod.testing.fake_queue import FakeQueue

FIRST, SECOND = "train_0123456789ab", "train_0123456789ac"
HOSTILE = (
    "<img src=x onerror=alert(1)>",
    '"><script>alert(1)</script>',
    "</script><script>alert(1)</script>",
    "שלום עולם",
    "w" * 10_000,
)


@pytest.fixture
def worker(queue: FakeQueue) -> ReportWorker:
    return ReportWorker(queue)


def page_of(client: Client, scratch: Path, *process_ids: str) -> str:
    readers = [TrainingReader(client, each, scratch, share=len(process_ids)) for each in process_ids]
    return ReportPage([reader.read() for reader in readers], PictureBook()).html()


class Shown(HTMLParser):
    """The page as a browser without JavaScript takes it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._hidden = 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._hidden += tag in {"script", "style"}

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in {"script", "style"}

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.text += data


def test_a_training_is_told_in_words_and_images(client: Client, worker: ReportWorker, tmp_path: Path) -> None:
    worker.add_training(steps=(0, 750, 1500), estimate={"duration_s": 2520, "basis": "measured on this GPU"})
    shown = Shown(page_of(client, tmp_path, FIRST))

    for words in (
        "mycat asleep on a red sofa, soft window light",
        "stabilityai/stable-diffusion-xl-base-1.0",
        "NVIDIA GeForce RTX 4090",
        "0.0001",
        "16 (alpha 16)",
        "42 min 10 s",
        "42 min 00 s (measured on this GPU)",
        "31 Jan 2026, 18:01 UTC",
        "IMG_0007.png has no caption",
        "lr: 0.0001",
        "cat_000000500.safetensors",
    ):
        assert words in shown.text, words
    images = [attributes for tag, attributes in shown.tags if tag == "img" and attributes.get("src")]
    assert len(images) == 3 * 4 + 1
    assert "at step 750" in str([attributes["alt"] for attributes in images])
    assert "prompt 1" not in shown.text


def test_an_early_stop_says_why_and_shows_its_curve(
    client: Client, worker: ReportWorker, tmp_path: Path
) -> None:
    detail = "The likeness was best at step 750 (0.6412); the 2 looks since then were no better."
    worker.add_training(status="cancelled", reason="no_improvement", reason_detail=detail)
    assert "Likeness of the samples" not in page_of(client, tmp_path / "without", FIRST)
    worker.series[FIRST]["likeness"] = [(0, 0.41), (750, 0.6412), (1500, 0.63)]
    shown = Shown(page_of(client, tmp_path, FIRST))
    assert detail in shown.text
    assert "no_improvement" not in shown.text
    (chart,) = [attributes for _, attributes in shown.tags if attributes.get("class") == "chart-only"]
    assert (chart["aria-label"] or "").startswith("Likeness by step of")


def test_a_value_that_is_measured_later_than_the_losses_is_not_missed(
    client: Client, worker: ReportWorker, tmp_path: Path
) -> None:
    process = worker.add_training(status="running", ended_at=None)
    worker.series[FIRST] = {"loss/loss": [(1, 0.5), (100, 0.4)], "likeness": [(0, 0.4)]}
    reader = TrainingReader(client, FIRST, tmp_path)
    process["progress"] |= {"step": 100}
    reader.read()
    worker.series[FIRST] = {
        "loss/loss": [(1, 0.5), (100, 0.4), (200, 0.3)],
        "likeness": [(0, 0.4), (50, 0.6)],
    }
    process["progress"] |= {"step": 200}
    curves = reader.read().curves
    assert list(curves["likeness"].steps) == [0, 50]
    assert list(curves["loss/loss"].steps)[-1] == 200


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"ran_s": 2520.0}, ("$0.77", "RTX 4090, $1.10 an hour")),
        (
            {"ran_s": 900.0, "ended_at": None, "status": "running", "estimate": {"duration_s": 2520}},
            ("$0.28 so far, about $0.77 in all", "RTX 4090, $1.10 an hour"),
        ),
    ],
)
def test_what_it_costs_is_said_if_the_price_is_known(
    client: Client, worker: ReportWorker, tmp_path: Path, fields: dict[str, Any], said: tuple[str, ...]
) -> None:
    worker.add_training(steps=(0,), **fields)
    rate = HourlyRate(per_hour=Decimal("1.1"), gpu="RTX 4090")
    training = TrainingReader(client, FIRST, tmp_path).read()
    for book, expected in ((PriceBook(given=rate), True), (PriceBook(unknown="x"), False)):
        shown = Shown(ReportPage([training.priced(book)], PictureBook()).html()).text
        for words in said:
            assert (words in shown) is expected, words


def test_the_page_asks_nobody_for_anything(client: Client, worker: ReportWorker, tmp_path: Path) -> None:
    worker.add_training(steps=(0, 100), log_tail=["Downloading with hf_abcdefghijklmnopqrst"])
    worker.files["processes/train_0123456789ab/config.yaml"] += b"hf_token: abcdefgh\n"
    page = page_of(client, tmp_path, FIRST)
    shown = Shown(page)

    sources = [
        attributes[name] or ""
        for _, attributes in shown.tags
        for name in ("src", "href", "srcset", "action", "data")
        if attributes.get(name)
    ]
    assert sources
    assert {source.partition(",")[0] for source in sources} == {"data:image/webp;base64"}
    assert not re.findall(r"url\((?!data:)|@import", page)
    policy = next(str(one["content"]) for _, one in shown.tags if one.get("http-equiv"))
    assert "default-src 'none'" in policy
    assert "connect-src 'none'" in policy
    assert "unsafe" not in policy
    assert "rpa_made_up_key" not in page
    assert "abcdefgh" not in page
    assert "runpod.test" not in page


def test_no_text_becomes_markup(client: Client, worker: ReportWorker, tmp_path: Path) -> None:
    hostile: Any = HOSTILE[0]
    process = worker.add_training(
        steps=(0, 100),
        prompts=HOSTILE,
        name=HOSTILE[2],
        trigger_word=HOSTILE[1],
        base_model=hostile,
        gpu=hostile,
        phase=hostile,
        warnings=list(HOSTILE),
        failure={"code": "internal", "message": HOSTILE[1], "hint": HOSTILE[0]},
        log_tail=list(HOSTILE),
        settings={"optimizer": HOSTILE[1]},
    )
    process["dataset"]["path"] = HOSTILE[1]
    worker.series[FIRST][HOSTILE[2] + "loss"] = [(1, 0.5)]
    shown = Shown(page_of(client, tmp_path, FIRST))

    assert [tag for tag, _ in shown.tags if tag == "script"] == ["script"] * 3
    assert not [name for _, attributes in shown.tags for name in attributes if name.startswith("on")]
    for text in HOSTILE:
        assert text in shown.text
    assert max(len(attributes.get("alt") or "") for tag, attributes in shown.tags if tag == "img") < 400


def test_two_trainings_stand_side_by_side(client: Client, worker: ReportWorker, tmp_path: Path) -> None:
    worker.add_training(steps=(0, 100))
    worker.add_training(SECOND, steps=(0, 100), name="other", seed=1, settings={"rank": 32})
    page = page_of(client, tmp_path, FIRST, SECOND)
    shown = Shown(page)

    assert "32 (alpha 16)" in shown.text
    rows = re.findall(r'<tr class="differs"><th scope="row">([^<]+)', page)
    assert rows == ["Rank", "Loss at the end"]
    assert page.count('class="prompt"') == 4
    assert page.count('class="strip"') == 8


def test_of_very_many_samples_the_page_shows_some_of_every_prompt(
    client: Client, worker: ReportWorker, tmp_path: Path
) -> None:
    prompts = [f"prompt of {number}" for number in range(12)]
    worker.add_training(prompts=prompts, steps=range(40), points=9, drawn=painting(0, 1.0, side=16))

    page = page_of(client, tmp_path, FIRST)

    assert len(page.encode()) < MOST_BYTES
    assert "144 of 480 samples, evenly chosen" in Shown(page).text
    assert page.count('alt="Sample of') == 144
    assert page.count('at step 0"') == page.count('at step 39"') == 12


def test_a_training_that_has_not_begun_has_a_page(
    client: Client, worker: ReportWorker, tmp_path: Path
) -> None:
    worker.add_training(
        steps=(0,),
        prompts=(),
        points=0,
        status="queued",
        progress={"step": 0},
        started_at=None,
        ended_at=None,
        settings=None,
        samples=[],
        checkpoints=[],
        dataset=None,
        log_tail=[],
    )
    worker.processes[FIRST] |= {"settings": None, "sample_prompts": [], "base_model": None}

    shown = Shown(page_of(client, tmp_path, FIRST))

    assert "queued" in shown.text
    assert "Samples" not in shown.text


def test_samples_that_are_gone_and_videos_are_named(
    client: Client, worker: ReportWorker, tmp_path: Path
) -> None:
    process = worker.add_training(steps=(0, 100), prompts=("a", "b"))
    gone = process["samples"][0]["path"]
    del worker.files[gone]
    process["samples"][1]["path"] = "output/clip.mp4"
    worker.files[process["samples"][2]["path"]] = b"no image"

    shown = Shown(page_of(client, tmp_path, FIRST))

    for path in (gone, "output/clip.mp4", process["samples"][2]["path"]):
        assert f"Not in this page: {path}" in shown.text
