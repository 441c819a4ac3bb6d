"""The report in a real browser: what it shows, how it is operated, and that it asks nobody for anything."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, expect, sync_playwright
from tests.browser import (
    DESKTOP,
    HOSTILE,
    PHONE,
    OpenPage,
    PageTroubles,
    faults,
    launch,
    needs_chromium,
    new_page,
)
from tests.report_worker import ReportWorker

from lorapod.client import Client
from lorapod.client.report_page.live import LiveServer
from lorapod.client.report_page.page import ReportPage
from lorapod.client.report_page.pictures import PictureBook
from lorapod.client.report_page.reading import TrainingReader
from lorapod.client.report_page.subjects import find_subjects
from lorapod.testing.fake_queue import FakeQueue

pytestmark = needs_chromium

FIRST, SECOND, FAILED, LONG = (f"train_0123456789a{letter}" for letter in "bcde")
COMPARISON = "compare_0123456789ab"
#: Pictures for the documentation are written here, if it is set: they are large.
PICTURES = os.environ.get("LORAPOD_PICTURES")
SIDE = 512 if PICTURES else 64


@pytest.fixture(scope="module")
def queue() -> FakeQueue:
    return FakeQueue()


@pytest.fixture(scope="module")
def worker(queue: FakeQueue) -> ReportWorker:
    worker = ReportWorker(queue)
    worker.add_training(FIRST, side=SIDE)
    worker.add_training(
        SECOND, side=SIDE, seed=1, name="cat, rank 32", settings={"rank": 32, "learning_rate": 2e-4}
    )
    worker.add_comparison(COMPARISON, training=FIRST, side=SIDE)
    worker.add_training(
        FAILED,
        steps=(0, 500),
        prompts=HOSTILE,
        name="<script>alert(1)</script>" + "n" * 300,
        status="failed",
        failure={"message": "The GPU's memory does not suffice.", "hint": "Take a smaller resolution."},
        log_tail=[f"{number}: {'word ' * number}{'x' * 400}" for number in range(40)],
        warnings=list(HOSTILE),
    )
    worker.add_training(LONG, prompts=("one",), steps=(0, 100_000), points=0)
    holes = [(step, 0.1 + 1 / (1 + step)) for step in range(100_000) if not 40_000 < step < 60_000]
    worker.series[LONG] = {"loss/loss": holes, "loss/validation": holes[::1000]}
    return worker


@pytest.fixture(scope="module")
def client(queue: FakeQueue) -> Iterator[Client]:
    with Client("https://runpod.test/v2/fake/", "rpa_made_up_key", http=queue) as client:
        yield client


@pytest.fixture(scope="module")
def files(
    worker: ReportWorker, client: Client, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, str]:
    """The URL of each page."""
    folder = tmp_path_factory.mktemp("pages")
    pages = {"one": (FIRST,), "two": (FIRST, SECOND, COMPARISON), "failed": (FAILED,), "long": (LONG,)}
    urls = {}
    for name, ids in pages.items():
        found = find_subjects(client, ids, folder)
        page = ReportPage(
            [one.read() for one in found.trainings], PictureBook(), [one.read() for one in found.comparisons]
        )
        path = folder / f"{name}.html"
        path.write_text(page.html(), encoding="utf-8")
        urls[name] = path.as_uri()
    return urls


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """Opens pages that must give no trouble."""
    contexts: list[BrowserContext] = []
    troubles = PageTroubles()

    def open_it(url: str, *, stopped_clock: bool = False, **options: Any) -> Page:
        context, page = new_page(browser, **options)
        contexts.append(context)
        troubles.watch(page, url, "data:")
        if stopped_clock:
            page.clock.install()
        page.goto(url)
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert list(troubles) == []


def is_too_wide(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth > innerWidth"))


def picture(page: Page, name: str, **options: Any) -> None:
    """Keep a screenshot for the documentation, if that was asked for."""
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / f"{name}.png", **options)


@pytest.mark.parametrize(
    ("name", "viewport"),
    [("one", PHONE), ("two", PHONE), ("failed", PHONE), ("long", PHONE), ("two", DESKTOP)],
    ids=["one-phone", "two-phone", "failed-phone", "long-phone", "two-desktop"],
)
def test_nothing_is_wider_than_the_window(
    open_page: OpenPage, files: Mapping[str, str], name: str, viewport: ViewportSize
) -> None:
    page = open_page(files[name], viewport=viewport)
    assert not is_too_wide(page)
    page.locator("#all-steps").click()
    for summary in page.locator("main summary").all():
        summary.click()
    assert not is_too_wide(page)
    page.locator("button.open:visible").first.click()
    assert not is_too_wide(page)


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_the_slider_moves_every_prompt_to_another_step(
    open_page: OpenPage, files: Mapping[str, str], viewport: ViewportSize
) -> None:
    page = open_page(files["one"], viewport=viewport)
    images = page.locator(".viewer img")
    newest = [image.get_attribute("src") for image in images.all()]
    assert len(newest) == 4
    expect(page.locator("#step-shown")).to_have_text("1,500 of 1,500")
    page.locator("#step").focus()
    page.keyboard.press("Home")
    expect(page.locator("#step-shown")).to_have_text("0 of 1,500")
    oldest = [image.get_attribute("src") for image in images.all()]
    assert not set(oldest) & set(newest)
    assert "at step 0" in (images.first.get_attribute("alt") or "")
    page.keyboard.press("ArrowRight")
    expect(page.locator(".at-step").first).to_have_text("step 250")


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_a_sample_opens_large_and_is_operated_by_keys(
    open_page: OpenPage, files: Mapping[str, str], viewport: ViewportSize
) -> None:
    page = open_page(files["one"], viewport=viewport)
    viewer = page.locator(".viewer").first
    viewer.focus()
    page.keyboard.press("Enter")
    box = page.locator("#lightbox")
    expect(box).to_be_visible()
    expect(page.locator("#lightbox-title")).to_have_text("mycat asleep on a red sofa, soft window light")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#lightbox-step-shown")).to_have_text("step 1,250")
    page.keyboard.press("ArrowDown")
    expect(page.locator("#lightbox-title")).to_have_text("a photo of mycat in a snowy garden")
    assert page.locator("#large").bounding_box()["width"] > (300 if viewport is PHONE else 450)  # type: ignore[index]
    page.keyboard.press("Escape")
    expect(box).to_be_hidden()
    expect(viewer).to_be_focused()


def test_before_and_after_are_divided_by_a_slider(open_page: OpenPage, files: Mapping[str, str]) -> None:
    page = open_page(files["two"])
    page.locator(".viewer").first.click()
    page.locator("#before-with").select_option(label="first: step 0")
    before = page.locator("#large-before")
    expect(before).to_be_visible()
    assert "at step 0" in (before.get_attribute("alt") or "")
    page.locator("#divide").focus()
    page.keyboard.press("End")
    assert before.evaluate("one => one.style.clipPath") == "inset(0px 0% 0px 0px)"
    page.locator("#before-with").select_option(label="cat, rank 32, same step")
    assert "training cat, rank 32" in (before.get_attribute("alt") or "")
    expect(page.locator("#after-tag")).to_have_text("cat, step 1,500")


def test_cells_of_a_comparison_open_large_beside_each_other(
    open_page: OpenPage, files: Mapping[str, str]
) -> None:
    page = open_page(files["two"])
    expect(page.locator("#comparison th.best")).to_contain_text("recommended")
    expect(page.locator("#comparison td.best")).to_have_count(2)
    expect(page.locator("#comparison li.best")).to_have_count(2)
    page.locator("#comparison li.best button").first.click()
    expect(page.locator("#lightbox-step-shown")).to_have_text("step 1000")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#lightbox-step-shown")).to_have_text("step 500")
    page.keyboard.press("ArrowDown")
    expect(page.locator("#lightbox-title")).to_have_text("a photo of mycat in a snowy garden")
    expect(page.locator("#lightbox-step-shown")).to_have_text("step 500")
    page.locator("#before-with").select_option(label="first: the base model")
    assert "drawn by the base model" in (page.locator("#large-before").get_attribute("alt") or "")


def test_the_dataset_opens_large_without_steps(open_page: OpenPage, files: Mapping[str, str]) -> None:
    page = open_page(files["one"])
    page.locator("#dataset button.open").click()
    expect(page.locator("#lightbox-title")).to_have_text("Dataset")
    expect(page.locator("#lightbox-steps")).to_be_hidden()
    page.locator("#close-lightbox").click()
    expect(page.locator("#lightbox")).to_be_hidden()


def test_values_of_the_curve_are_read_by_keys_and_both_curves_are_drawn(
    open_page: OpenPage, files: Mapping[str, str]
) -> None:
    page = open_page(files["two"])
    expect(page.locator("#chart canvas")).to_be_visible()
    expect(page.locator(".chart-static")).to_be_hidden()
    page.locator(".u-over").focus()
    page.keyboard.press("ArrowRight")
    spoken = page.locator("#chart .spoken")
    expect(spoken).to_contain_text("cat: loss, smoothed 0.")
    expect(spoken).to_contain_text("cat, rank 32: loss, smoothed 0.")
    first = spoken.inner_text()
    page.locator("#smoothing").focus()
    page.keyboard.press("Home")
    page.locator(".u-over").focus()
    page.keyboard.press("PageUp")
    assert spoken.inner_text() != first
    drawn = "document.querySelector('#chart canvas').toDataURL()"
    linear = page.evaluate(drawn)
    page.locator("#logarithmic").check()
    assert page.evaluate(drawn) != linear


def test_a_long_curve_says_what_its_points_are(open_page: OpenPage, files: Mapping[str, str]) -> None:
    page = open_page(files["long"])
    expect(page.locator("#loss")).to_contain_text("Of every 17 logged values one was read.")
    expect(page.locator("#loss")).to_contain_text("Each point is the mean of 3 values")
    points = page.evaluate("JSON.parse(document.getElementById('data').textContent).series")
    assert {one["key"] for one in points} == {"loss/loss", "loss/validation"}
    assert max(len(one["steps"]) for one in points) <= 2100
    assert None in points[0]["values"]
    expect(page.locator("#chart canvas")).to_be_visible()


def test_numbers_and_times_are_the_readers_own(open_page: OpenPage, files: Mapping[str, str]) -> None:
    german = open_page(files["one"], locale="de-DE")
    expect(german.locator(".lead")).to_contain_text("1.500")
    expect(german.locator("#facts")).to_contain_text("31.01.2026, 19:01")
    expect(german.locator("#facts")).to_contain_text("0,0001")


def test_without_a_script_the_essentials_are_there(open_page: OpenPage, files: Mapping[str, str]) -> None:
    page = open_page(files["two"], java_script_enabled=False)
    assert page.locator("#samples .strip img:visible").count() == 4 * 7 * 2
    expect(page.locator(".chart-static path")).to_have_count(2)
    expect(page.locator("#step")).to_be_hidden()
    expect(page.locator("#facts")).to_contain_text("31 Jan 2026, 18:01 UTC")


def test_on_paper_every_step_and_the_curve_are_shown(open_page: OpenPage, files: Mapping[str, str]) -> None:
    page = open_page(files["one"], color_scheme="dark")
    page.emulate_media(media="print")
    assert page.locator("#samples .strip img:visible").count() == 4 * 7
    expect(page.locator(".chart-static path")).to_be_visible()
    expect(page.locator("#step")).to_be_hidden()
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(255, 255, 255)"


def test_hostile_texts_stay_texts(open_page: OpenPage, files: Mapping[str, str]) -> None:
    page = open_page(files["failed"], viewport=PHONE)
    expect(page.locator("h1")).to_contain_text("<script>alert(1)</script>")
    expect(page.locator("#failure")).to_contain_text("Take a smaller resolution.")
    expect(page.locator("#failure pre")).to_contain_text("39: word")
    assert page.locator("img[src='x']").count() == 0
    page.locator(".viewer").nth(2).click()
    expect(page.locator("#lightbox-title")).to_have_text("w" * 10_000)


@pytest.mark.parametrize(("name", "scheme"), [("two", "light"), ("failed", "dark")])
def test_axe_finds_no_serious_fault(
    open_page: OpenPage, files: Mapping[str, str], name: str, scheme: str
) -> None:
    page = open_page(files[name], color_scheme=scheme, reduced_motion="reduce")
    found = faults(page)
    page.locator(".viewer").first.click()
    page.locator("#before-with").select_option("first")
    assert found + faults(page) == []


def published(client: Client, scratch: Path, server: LiveServer, *, ended: bool = False) -> None:
    trainings = [TrainingReader(client, FIRST, scratch).read()]
    server.publish(ReportPage(trainings, PictureBook()), ended=ended)


def test_a_live_page_follows_the_training_to_its_end(
    open_page: OpenPage, tmp_path: Path, client: Client, worker: ReportWorker
) -> None:
    process = worker.processes[FIRST]
    kept = dict(process)
    samples = process["samples"]
    process |= {
        "status": "running",
        "ended_at": None,
        "samples": samples[:8],
        "progress": {"step": 300, "total_steps": 1500, "eta_s": 1980},
    }
    server = LiveServer()
    published(client, tmp_path, server)
    with server.serving(0):
        page = open_page(server.url)
        expect(page.locator("#connection")).to_contain_text("Live.")
        expect(page.locator(".lead")).to_contain_text("step 300 of 1,500")
        expect(page.locator("#step-shown")).to_have_text("250 of 250")
        page.locator("#smoothing").focus()
        page.keyboard.press("Home")
        process |= {"samples": samples[:12], "progress": {"step": 500, "total_steps": 1500}}
        published(client, tmp_path, server)
        expect(page.locator(".lead")).to_contain_text("step 500 of 1,500", timeout=15_000)
        expect(page.locator("#step-shown")).to_have_text("500 of 500")
        expect(page.locator("#smoothing")).to_have_value("0")
        expect(page.locator("#smoothing")).to_be_focused()
        process |= kept
        published(client, tmp_path, server, ended=True)
        expect(page.locator("#connection")).to_contain_text("It has ended.", timeout=15_000)
        assert server.wait_for_last_look(0)
    expect(page.locator(".status")).to_have_text("completed")
    assert page.locator(".viewer img").evaluate_all("all => all.every(one => one.naturalWidth > 0)")


def test_a_page_that_nobody_sees_asks_for_nothing(
    open_page: OpenPage, tmp_path: Path, client: Client, worker: ReportWorker
) -> None:
    assert worker.processes[FIRST]
    server = LiveServer()
    published(client, tmp_path, server)
    with server.serving(0):
        page = open_page(server.url, stopped_clock=True)
        expect(page.locator("#connection")).to_contain_text("Live.")
        page.evaluate("Object.defineProperty(document, 'hidden', {get: () => window.unseen !== false})")
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.clock.run_for(60_000)
        assert asked == []
        with page.expect_request("**/changes*"):
            page.evaluate("window.unseen = false; document.dispatchEvent(new Event('visibilitychange'))")
        with page.expect_request("**/changes*"):
            page.clock.run_for(6_000)


@pytest.mark.skipif(
    not PICTURES, reason="draws the documentation's pictures; set LORAPOD_PICTURES to a folder"
)
def test_the_pictures_of_the_documentation(open_page: OpenPage, files: Mapping[str, str]) -> None:
    page = open_page(files["one"], viewport={"width": 1100, "height": 760})
    picture(page, "report")
    page.locator(".viewer").first.click()
    page.locator("#lightbox-step").focus()
    page.keyboard.press("End")
    page.locator("#before-with").select_option("first")
    picture(page, "report-before-after")
    two = open_page(files["two"], viewport={"width": 1100, "height": 1750})
    picture(two, "report-two")
    two.locator("#comparison").scroll_into_view_if_needed()
    two.locator("#comparison").screenshot(path=Path(PICTURES or "") / "report-comparison.png")
    phone = open_page(files["one"], viewport=PHONE, device_scale_factor=2, color_scheme="dark")
    phone.locator("#samples").scroll_into_view_if_needed()
    phone.evaluate("document.getElementById('samples').scrollIntoView()")
    picture(phone, "report-phone")
