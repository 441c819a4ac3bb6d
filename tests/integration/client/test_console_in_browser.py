"""The console in a real browser: what each page shows, how it is operated, and that it asks nobody but its server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from tests.browser import (
    HOSTILE,
    LARGE,
    PHONE,
    OpenPage,
    PageTroubles,
    faults,
    is_shown,
    launch,
    needs_chromium,
    new_page,
    too_wide,
)
from tests.report_worker import ReportWorker
from tests.running_console import RunningConsole, running_console

from lorapod.client import Client
from lorapod.testing.fake_queue import FakeQueue

pytestmark = needs_chromium

KEY = "rpa_made_up_key"
FIRST, SECOND, RUNNING, FAILED = (f"train_0123456789a{letter}" for letter in "bcde")
COMPARISON = "compare_0123456789ab"
SWEEP = "sweep_0123456789ab"
CAPTIONING = "caption_0123456789ab"

PAGES = {
    "home": "/",
    "trainings": "/trainings",
    "training": f"/trainings/{FIRST}",
    "running": f"/trainings/{RUNNING}",
    "failed": f"/trainings/{FAILED}",
    "sweep": f"/trainings/{SWEEP}",
    "unknown training": "/trainings/train_ffffffffffff",
    "comparisons": "/comparisons",
    "comparison": f"/comparisons/{COMPARISON}",
    "no page": "/nowhere",
    "no text": "/trainings/%E0%A4%A",
}


@pytest.fixture(scope="module")
def queue() -> FakeQueue:
    return FakeQueue()


@pytest.fixture(scope="module")
def worker(queue: FakeQueue) -> ReportWorker:
    worker = ReportWorker(queue)
    worker.add_training(FIRST)
    worker.add_training(SECOND, seed=1, name="cat, rank 32", settings={"rank": 32}, steps=(0, 1500))
    worker.add_training(
        RUNNING,
        seed=2,
        name="ink style",
        status="running",
        phase="training",
        ended_at=None,
        steps=(0, 750),
        progress={"step": 750, "total_steps": 1500, "loss": 0.07, "steps_per_s": 1.4, "eta_s": 536},
    )
    worker.add_training(
        FAILED,
        steps=(0, 500),
        prompts=HOSTILE,
        name="<script>alert(1)</script>" + "n" * 300,
        status="failed",
        failure={
            "code": "out_of_memory",
            "message": "The GPU's memory does not suffice.",
            "hint": "Take a smaller one.",
        },
        log_tail=[f"{number}: {'word ' * number}{'x' * 400}" for number in range(40)],
        warnings=list(HOSTILE),
    )
    worker.logs[RUNNING] = "\n".join(f"{number}: loss {number / 7:.6f}" for number in range(20_000)).encode()
    worker.add_comparison(COMPARISON, training=FIRST)
    worker.add_sweep({FIRST: {"rank": 16}, SECOND: {"rank": 32}}, SWEEP)
    worker.processes[SWEEP]["created_at"] = "2026-01-31T18:00:00Z"
    worker.processes[COMPARISON]["created_at"] = "2026-01-31T19:00:00Z"
    return worker


@pytest.fixture(scope="module")
def console(
    queue: FakeQueue, worker: ReportWorker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningConsole]:
    client = Client("https://runpod.test/v2/fake/", KEY, http=queue)
    with running_console(client, tmp_path_factory.mktemp("console")) as console:
        console.learn(*worker.processes)
        yield console


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser, console: RunningConsole) -> Iterator[OpenPage]:
    """Opens pages of the console that must give no trouble; a path is opened as a link within it."""
    contexts: list[BrowserContext] = []
    troubles = PageTroubles()

    def open_it(path: str = "/", **options: Any) -> Page:
        context, page = new_page(browser, **options)
        contexts.append(context)
        troubles.watch(page, f"{console.url}/")
        page.goto(console.server.link)
        page.wait_for_url(f"{console.url}/")
        if path != "/":
            page.goto(f"{console.url}{path}")
        is_shown(page)
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert troubles == []


def test_every_page_is_without_fault_asks_no_worker_and_gets_no_key(
    open_page: OpenPage, console: RunningConsole, queue: FakeQueue
) -> None:
    page = open_page(color_scheme="light")
    found: dict[str, list[str]] = {}
    asked: set[str] = set()
    page.on("request", lambda request: asked.add(request.url))
    queue.requests.clear()
    for name, path in PAGES.items():
        page.goto(f"{console.url}{path}")
        is_shown(page)
        found[name] = faults(page)
    own = {"X-Console-Key": page.evaluate("localStorage.getItem('console-key')")}
    answers = {url: page.request.get(url, headers=own) for url in asked}

    assert {name: each for name, each in found.items() if each} == {}
    assert queue.inputs == []
    assert {request.url.path.rpartition("/")[2] for request in queue.requests} == {"health"}
    assert len(answers) > 20
    assert {answer.status for answer in answers.values()} <= {200, 404}
    assert [url for url, answer in answers.items() if KEY.encode() in answer.body()] == []


def test_a_phone_in_the_dark_has_pages_without_fault_that_fit(
    open_page: OpenPage, console: RunningConsole
) -> None:
    page = open_page(color_scheme="dark", viewport=PHONE)
    found = {}
    for name in ("home", "running", "failed", "comparison"):
        page.goto(f"{console.url}{PAGES[name]}")
        is_shown(page)
        found[name] = faults(page) + too_wide(page)
    assert {name: each for name, each in found.items() if each} == {}


def test_home_leads_to_a_training_and_back_by_keyboard(open_page: OpenPage) -> None:
    page = open_page()
    card = page.get_by_role("link", name="ink style")
    expect(page.get_by_role("list", name="Running now").get_by_role("article")).to_have_count(1)

    card.focus()
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", level=1)).to_have_text("ink style")
    expect(page).to_have_title(re.compile("Training"))
    expect(page.get_by_role("main")).to_be_focused()
    expect(page.get_by_role("region", name="Progress")).to_contain_text("97 %, 18.5 GB of 24.0 GB")
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("Home")


def test_samples_are_seen_step_by_step_and_before_and_after(open_page: OpenPage) -> None:
    page = open_page(f"/trainings/{FIRST}")
    samples = page.get_by_role("region", name="Samples")
    expect(samples.get_by_role("img")).to_have_count(4)
    expect(samples.locator("output")).to_have_text("step 1,500")

    samples.get_by_role("slider").focus()
    page.keyboard.press("ArrowLeft")
    expect(samples.locator("output")).to_have_text("step 1,250")

    samples.get_by_role("button", name="Before and after").click()
    expect(samples.get_by_role("img")).to_have_count(8)
    samples.get_by_role("button", name="All steps").click()
    expect(samples.get_by_role("img")).to_have_count(28)

    samples.get_by_role("button").filter(has=page.get_by_role("img")).first.click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator("output")).to_have_text("step 0")
    page.keyboard.press("End")
    expect(dialog.locator("output")).to_have_text("step 1,500")
    dialog.get_by_role("button", name="Before and after").click()
    expect(dialog.locator("img")).to_have_count(2)
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


def test_the_curve_is_smoothed_zoomed_and_read_by_keyboard(open_page: OpenPage) -> None:
    page = open_page(f"/trainings/{FIRST}")
    curve = page.get_by_role("region", name="Loss")
    chart = curve.get_by_role("application")
    expect(chart).to_be_visible()
    expect(curve).to_contain_text("400 points")

    chart.focus()
    page.keyboard.press("ArrowRight")
    expect(curve.locator(".spoken")).to_contain_text(re.compile(r"step \d+: cat 0\.\d+"))

    whole = curve.get_by_role("button", name="Whole curve")
    expect(whole).to_be_disabled()
    curve.get_by_role("button", name="Zoom in").click()
    expect(whole).to_be_enabled()
    whole.click()
    expect(whole).to_be_disabled()

    box = chart.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 40, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + 240, box["y"] + 40, steps=4)
    page.mouse.up()
    expect(whole).to_be_enabled()

    curve.get_by_label("Log scale").check()
    curve.get_by_label("Lay over it").select_option(SECOND)
    expect(curve.locator(".u-legend")).to_contain_text("cat, rank 32")
    curve.get_by_label("Lay over it").select_option(RUNNING)
    expect(curve.locator(".u-legend")).to_contain_text("ink style")
    curve.get_by_role("button", name=re.compile("Take cat, rank 32")).click()
    expect(curve.locator(".u-legend")).not_to_contain_text("cat, rank 32")


def test_a_failed_training_says_why_first_and_hostile_text_stays_text(open_page: OpenPage) -> None:
    page = open_page(f"/trainings/{FAILED}")

    reason = page.get_by_role("alert")
    expect(reason).to_contain_text("The GPU's memory does not suffice.")
    expect(reason).to_contain_text("Take a smaller one.")
    top = page.get_by_role("region", name="Samples").bounding_box()
    said = reason.bounding_box()
    assert top is not None
    assert said is not None
    assert said["y"] < top["y"]
    expect(page.get_by_role("heading", level=1)).to_contain_text("<script>alert(1)</script>")
    expect(page.get_by_role("heading", name="<img src=x onerror=alert(1)>")).to_be_visible()
    assert page.locator("img[src='x']").count() == 0


def test_a_log_is_paged_back_to_its_start(open_page: OpenPage, queue: FakeQueue) -> None:
    page = open_page(f"/trainings/{RUNNING}")
    log = page.get_by_role("log", name="Log")
    expect(log).to_contain_text("Saved checkpoint to cat.safetensors")
    queue.requests.clear()

    page.get_by_role("button", name="Earlier").click()
    expect(log).to_contain_text("19999: loss")
    assert log.evaluate("(log) => log.scrollHeight - log.scrollTop - log.clientHeight < 30")
    first = int(log.inner_text().partition(":")[0])
    page.get_by_role("button", name="Earlier").click()
    expect(log).not_to_contain_text("19999: loss")
    assert int(log.inner_text().strip().splitlines()[-1].partition(":")[0]) >= first - 1

    page.get_by_role("button", name="From the start").click()
    expect(log).to_contain_text("0: loss 0.000000")
    assert log.evaluate("(log) => log.scrollTop") == 0
    expect(page.get_by_role("button", name="Earlier")).to_be_disabled()
    page.get_by_role("button", name="Later").click()
    expect(log).not_to_contain_text("0: loss 0.000000")
    page.get_by_role("button", name="Follow the end").click()
    expect(log).to_contain_text("Saved checkpoint to cat.safetensors")
    assert {asked["type"] for asked in queue.inputs} == {"logs"}


def test_a_sweep_leads_to_its_trainings(open_page: OpenPage) -> None:
    page = open_page(f"/trainings/{SWEEP}")
    members = page.get_by_role("region", name="Trainings of this sweep")
    expect(members).to_contain_text("rank must be more than 0")
    expect(page.get_by_role("region", name="Samples")).to_have_count(0)

    members.get_by_role("link", name="rank 32").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("cat, rank 32")


def test_live_asks_a_worker_only_when_it_is_on_and_the_tab_is_seen(
    open_page: OpenPage, console: RunningConsole, queue: FakeQueue
) -> None:
    page = open_page()
    page.clock.install()
    page.goto(f"{console.url}/trainings/{RUNNING}")
    live = page.get_by_role("switch", name=re.compile("Live"))
    expect(live).to_be_visible()
    queue.requests.clear()
    page.clock.run_for(60_000)
    assert queue.inputs == []

    live.check()
    page.clock.run_for(3_500)
    expect(live).to_be_checked()
    console.wait_until(lambda: bool(queue.inputs))

    page.evaluate("Object.defineProperty(document, 'hidden', { get: () => true })")
    page.clock.run_for(10_000)
    console.wait_for_asks()
    page.wait_for_load_state("networkidle")
    queue.requests.clear()
    page.clock.run_for(60_000)
    # What the page would have sent by now has arrived before this answer.
    page.evaluate("import('/assets/js/api.js').then((api) => api.getJson('/api/home'))")
    assert queue.requests == []


def test_asking_the_worker_fills_an_empty_console(
    open_page: OpenPage, console: RunningConsole, worker: ReportWorker
) -> None:
    worker.add_training("train_0123456789bb", name="a new one", steps=(0, 10), prompts=("x",), points=10)
    page = open_page("/trainings")
    expect(page.get_by_role("link", name="a new one")).to_have_count(0)

    page.get_by_role("button", name="Ask again").click()

    expect(page.get_by_role("link", name="a new one")).to_be_visible()
    page.get_by_role("searchbox").fill("a new")
    expect(page.get_by_role("article")).to_have_count(1)


def test_a_comparison_shows_the_recommendation_the_reasons_and_the_cells(open_page: OpenPage) -> None:
    page = open_page(f"/comparisons/{COMPARISON}")

    ranking = page.get_by_role("region", name="Ranking")
    expect(ranking.get_by_role("listitem").first).to_contain_text("step 1,000")
    expect(ranking.get_by_role("listitem").first).to_contain_text("Recommended")
    expect(ranking).to_contain_text("It is closest to the dataset and still follows the prompts.")
    cells = page.get_by_role("region", name="Cells")
    expect(cells.get_by_role("img")).to_have_count(8)
    expect(cells).to_contain_text("the base model")


def test_a_checkpoint_of_a_sweep_is_named_by_what_is_special_to_its_training(open_page: OpenPage) -> None:
    page = open_page(f"/comparisons/{COMPARISON}")

    name = page.evaluate(
        """async (address) => (await import(address)).drawnBy({ step: 500, weight: 0.5, variant_label: "rank 8" })""",
        "/assets/js/pages/comparison.js",
    )

    assert name == "rank 8, step 500, weight 0.5"


def test_the_checkpoint_that_is_kept_has_the_others_named_before_they_are_deleted(
    open_page: OpenPage, queue: FakeQueue
) -> None:
    others = ["output/x/cat_000000500.safetensors", "output/x/cat.safetensors"]
    queue.actions["delete"] = lambda asked: {
        "deleted": others,
        "freed_bytes": 456_000_000,
        "dry_run": asked["dry_run"],
        "warnings": ["It cannot be resumed any more."],
    }
    page = open_page(f"/comparisons/{COMPARISON}")
    queue.requests.clear()

    page.get_by_role("button", name="Keep step 1,000").click()

    dialog = page.get_by_role("dialog", name="Keep step 1,000, delete the others?")
    expect(dialog.get_by_role("listitem")).to_have_text(others)
    expect(dialog).to_contain_text("2 files would be deleted, which frees 456 MB")
    expect(dialog).to_contain_text("It cannot be resumed any more.")
    assert faults(page) == []
    assert [asked["dry_run"] for asked in queue.inputs] == [True]

    dialog.get_by_role("button", name="Delete them").click()
    expect(dialog).to_contain_text("Done: 456 MB are free again.")
    assert [(asked["keep"], asked["dry_run"]) for asked in queue.inputs if asked["type"] == "delete"][1:] == [
        ("steps:[1000]", False)
    ]
    dialog.get_by_role("button", name="Back").click()
    expect(dialog).to_be_hidden()


def test_a_checkpoint_is_downloaded(open_page: OpenPage, worker: ReportWorker) -> None:
    worker.files[f"output/{FIRST}/cat/cat.safetensors"] = b"weights" * 1000
    page = open_page(f"/trainings/{FIRST}")

    with page.expect_download() as arriving:
        page.get_by_role("button", name="Download step 1,500").click()

    assert arriving.value.suggested_filename == "cat.safetensors"
    assert arriving.value.path().read_bytes() == b"weights" * 1000


def test_the_key_of_the_page_is_in_no_address_and_without_it_the_page_says_what_to_do(
    browser: Browser, console: RunningConsole
) -> None:
    context, page = new_page(browser)
    page.goto(console.server.link)
    page.wait_for_url(f"{console.url}/")
    is_shown(page)
    page.evaluate("localStorage.clear()")
    page.reload()
    expect(page.get_by_text("Open the link that the terminal shows.")).to_be_visible()
    context.close()


def test_the_checkpoints_that_are_chosen_are_compared(open_page: OpenPage, queue: FakeQueue) -> None:
    queue.states = [
        {"status": "IN_QUEUE"},
        {"status": "IN_PROGRESS", "output": {"process_id": COMPARISON, "status": "running"}},
    ]
    page = open_page(f"/trainings/{FIRST}")
    compare = page.get_by_role("button", name=re.compile("^Compare the checkpoints"))
    expect(compare).to_contain_text("a worker is up")
    page.get_by_label("Compare step 500").check()
    expect(compare).to_be_disabled()
    page.get_by_label("Compare step 1,500").check()
    queue.requests.clear()

    page.get_by_role("button", name=re.compile("^Compare these 2")).click()

    expect(page).to_have_url(re.compile(COMPARISON))
    (asked,) = [one for one in queue.inputs if one["type"] == "compare"]
    assert sorted(asked["steps"]) == [500, 1500]


def test_a_training_that_was_stopped_goes_on_with_more_steps(
    open_page: OpenPage, console: RunningConsole, worker: ReportWorker, queue: FakeQueue
) -> None:
    stopped = "train_0123456789bc"
    worker.add_training(
        stopped, steps=(0,), prompts=("x",), name="stopped", status="cancelled", resumable=True,
        progress={"step": 400, "total_steps": 1500},
    )  # fmt: skip
    console.learn(stopped)
    queue.actions["resume"] = lambda asked: {"process_id": stopped, "status": "queued"}
    page = open_page(f"/trainings/{stopped}")
    for total, sent in (("1500", None), ("2000", 2000)):
        queue.requests.clear()
        page.get_by_role("button", name=re.compile("^Resume")).click()
        dialog = page.get_by_role("dialog")
        steps = dialog.get_by_label("Steps in all (400 are done)")
        expect(steps).to_have_value("1500")
        steps.fill(total)
        dialog.get_by_role("button", name="Do it").click()
        console.wait_until(lambda: any(one["type"] == "resume" for one in queue.inputs))
        console.wait_for_asks()
        (asked,) = [one for one in queue.inputs if one["type"] == "resume"]
        assert asked.get("steps") == sent


def test_a_captioner_is_stopped_and_what_it_wrote_stays(
    open_page: OpenPage, console: RunningConsole, worker: ReportWorker, queue: FakeQueue
) -> None:
    item: dict[str, Any] = {
        "name": "1.png", "path": "training_data/cat/1.png", "kind": "image", "size_bytes": 9, "caption": "", "flags": []
    }  # fmt: skip
    listed = {
        "training_name": "cat", "path": "training_data/cat", "images": 1, "videos": 0, "captions": 0, "total_bytes": 9,
        "problems": [], "buckets": [], "items": [item],
    }  # fmt: skip
    queue.actions["dataset"] = lambda asked: listed
    console.parts.datasets.learn_items("cat", listed, [{**item, "picture": None}], whole=True)
    running: dict[str, Any] = {
        "process_id": CAPTIONING,
        "type": "caption",
        "status": "running",
        "created_at": "2026-02-01T00:00:00Z",
    }
    running["progress"] = {"step": 3, "total_steps": 8}
    outcome = {"captioned": 3, "skipped": 0, "failed": []}
    ended = {**running, "status": "cancelled", "outcome": outcome}
    worker.processes[CAPTIONING] = running
    queue.states = [{"status": "IN_PROGRESS", "output": running}]

    def cancel(asked: dict[str, Any]) -> dict[str, Any]:
        item["caption"] = "a cat"
        queue.states = [{"status": "COMPLETED", "output": ended}]
        return {"process_id": asked["process_id"], "status": "stopping"}

    queue.actions["cancel"] = cancel
    page = open_page("/datasets/cat")
    page.get_by_role("button", name="Write captions…").click()
    page.get_by_role("dialog").get_by_role("button", name="Start").click()
    expect(page.get_by_text("Captioned 3 of 8")).to_be_visible()

    page.get_by_role("button", name="Stop").click()

    expect(page.get_by_text("3 captioned, 0 skipped, 0 failed.")).to_be_visible()
    expect(page.locator(".tile")).to_contain_text("a cat")
    assert [one["process_id"] for one in queue.inputs if one["type"] == "cancel"] == [CAPTIONING]
    del worker.processes[CAPTIONING]


def test_the_menu_shows_the_page_that_is_open(open_page: OpenPage) -> None:
    page = open_page("/comparisons", viewport=PHONE)
    expect(page.get_by_role("link", name="Compare")).to_be_in_viewport(ratio=0.9)


def test_a_wide_screen_is_used(open_page: OpenPage) -> None:
    page = open_page(viewport=LARGE)
    width = page.evaluate("document.querySelector('main').clientWidth")
    assert width > 2000
