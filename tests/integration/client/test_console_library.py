"""The console's library and playground in a real browser: what they show, how they are operated, what they ask."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright
from tests.browser import (
    DESKTOP,
    HOSTILE,
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
TRAINING = "train_0123456789ab"
FINAL = f"output/{TRAINING}/cat/cat.safetensors"
MERGED = "models/loras/cat-in-ink.safetensors"
BAD = "models/loras/<img src=x onerror=alert(1)>.safetensors"
MARKUP, WORDS, LONG, _ = HOSTILE


def model_page(path: str) -> str:
    return f"/library/{quote(path, safe='')}"


PAGES = {
    "library": "/library",
    "model": model_page(FINAL),
    "hostile model": model_page(BAD),
    "unknown model": model_page("models/none.safetensors"),
    "playground": "/playground",
}


@pytest.fixture(scope="module")
def queue() -> FakeQueue:
    return FakeQueue()


@pytest.fixture(scope="module")
def worker(queue: FakeQueue) -> ReportWorker:
    worker = ReportWorker(queue)
    worker.add_training(TRAINING, steps=(0, 500, 1500), prompts=("a cat",))
    worker.add_models()
    worker.add_model(
        BAD,
        name=MARKUP,
        kind="lora",
        title=MARKUP,
        base_model=LONG,
        tags=list(HOSTILE),
        trigger_words=[WORDS, LONG[:300]],
        description=f"{MARKUP} {LONG}",
        whole=False,
    )
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
def open_page(browser: Browser, console: RunningConsole, queue: FakeQueue) -> Iterator[OpenPage]:
    """Opens pages that must give no trouble; the library is known."""
    contexts: list[BrowserContext] = []
    troubles = PageTroubles()

    def open_it(path: str, **options: object) -> Page:
        context, page = new_page(browser, **options)
        contexts.append(context)
        troubles.watch(page, f"{console.url}/")
        page.goto(console.server.link)
        page.wait_for_url(f"{console.url}/")
        if console.parts.models.known_at is None:
            page.goto(f"{console.url}/library")
            page.get_by_role("button", name=re.compile("^Ask the worker")).click()
            expect(page.locator(".card").first).to_be_visible()
        queue.requests.clear()
        page.goto(f"{console.url}{path}")
        is_shown(page)
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert troubles == []


def next_generation(queue: FakeQueue, worker: ReportWorker, **fields: object) -> None:
    queue.states = [
        {"status": "IN_PROGRESS", "output": {"progress": {"percent": 40}}},
        {"status": "COMPLETED", "output": worker.generation(side=64, **fields), "executionTime": 5000},  # type: ignore[arg-type]
    ]


def generate(page: Page) -> Locator:
    """Press the button; return the newest drawing once it is there."""
    before = page.locator(".drawn").count()
    page.get_by_role("button", name=re.compile("^Generate")).click()
    expect(page.locator(".drawn")).to_have_count(before + 1)
    newest = page.locator(".drawn").first
    expect(newest.get_by_role("img").first).to_be_visible()
    return newest


def test_every_page_is_without_fault_asks_no_worker_and_gets_no_key(
    open_page: OpenPage, console: RunningConsole, queue: FakeQueue, worker: ReportWorker
) -> None:
    console.parts.generations.begin(
        "old", {"prompt": f"{MARKUP} {LONG}", "loras": [{"path": BAD, "weight": 1}]}
    )
    console.parts.generations.add("old", status="failed", images=[], problem={"error": MARKUP, "hint": ""})
    found: dict[str, list[str]] = {}
    asked: set[str] = set()
    page = open_page("/library", color_scheme="light")
    page.on("request", lambda request: asked.add(request.url))
    for scheme, size in (("light", DESKTOP), ("dark", PHONE)):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        page.set_viewport_size(size)
        for name, path in PAGES.items():
            page.goto(f"{console.url}{path}")
            is_shown(page)
            found[f"{scheme} {name}"] = faults(page) + too_wide(page)
            assert page.locator("img[src='x']").count() == 0
    answers = {url: page.request.get(url) for url in asked}

    assert {name: each for name, each in found.items() if each} == {}
    assert queue.inputs == []
    assert {request.url.path.rpartition("/")[2] for request in queue.requests} <= {"health"}
    assert len(answers) > 20
    assert [url for url, answer in answers.items() if KEY.encode() in answer.body()] == []
    console.parts.generations.forget("old")


def test_a_card_is_edited_by_keyboard(open_page: OpenPage, worker: ReportWorker) -> None:
    page = open_page("/library")
    page.get_by_role("searchbox").fill("ink")
    expect(page.locator(".card")).to_have_count(1)
    page.get_by_role("link", name="Cat, in ink").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("What its card says is known once a worker was asked.")).to_be_visible()
    page.get_by_role("button", name=re.compile("^Ask the worker")).press("Enter")
    title = page.get_by_label("Title", exact=True)
    expect(title).to_have_value("Cat, in ink")
    title.fill(MARKUP)
    page.get_by_label("Trigger words").fill("inkcat, ink wash")
    page.get_by_label("Tags").fill("")
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", level=1)).to_have_text(MARKUP)
    expect(page.get_by_text("Saved.")).to_be_visible()
    assert worker.models[MERGED]["trigger_words"] == ["inkcat", "ink wash"]
    assert worker.models[MERGED]["tags"] == []
    assert "author" not in worker.models[MERGED]


def test_loras_are_merged_with_their_weights(
    open_page: OpenPage, queue: FakeQueue, worker: ReportWorker
) -> None:
    made = {
        "process_id": "merge_0123456789ab",
        "status": "completed",
        "path": "models/loras/both.safetensors",
    }
    queue.states = [{"status": "COMPLETED", "output": {**made, "rank": 24, "size_bytes": 9_000_000}}]
    worker.add_model(made["path"], name="both", kind="lora")
    page = open_page("/library")
    merge = page.get_by_role("button", name=re.compile("^Merge"))
    expect(merge).to_be_disabled()
    for name in ("cat/cat_000000500", "cat/cat"):
        page.get_by_role("checkbox", name=f"Choose {name}", exact=True).check()
    merge.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Weight of cat/cat_000000500").fill("0.5")
    dialog.get_by_label("Method").select_option("svd")
    dialog.get_by_label("Rank of the result").fill("24")
    dialog.get_by_label("Name of the new LoRA").fill("both")
    assert faults(page) == []
    dialog.get_by_role("button", name=re.compile("^Make it")).click()

    expect(page.get_by_role("link", name=f"Made {made['path']}")).to_be_visible()
    expect(page.get_by_role("link", name=re.compile("both$"))).to_be_visible()
    (sent,) = [one for one in queue.inputs if one["type"] == "merge_loras"]
    early = FINAL.replace("cat.safetensors", "cat_000000500.safetensors")
    assert sorted(sent["loras"], key=lambda one: one["weight"]) == [
        {"path": early, "weight": 0.5},
        {"path": FINAL, "weight": 1},
    ]
    assert (sent["method"], sent["rank"], sent["name"]) == ("svd", 24, "both")


def test_a_smaller_lora_is_made_from_the_page_of_one(
    open_page: OpenPage, queue: FakeQueue, worker: ReportWorker
) -> None:
    made = {
        "process_id": "resize_0123456789ab",
        "status": "completed",
        "path": "models/loras/small.safetensors",
    }
    queue.states = [
        {"status": "IN_PROGRESS", "output": {**made, "status": "running", "progress": {"step": 1}}},
        {"status": "COMPLETED", "output": {**made, "rank": 2, "size_bytes": 9000, "kept_energy": 0.93}},
    ]
    page = open_page(model_page(FINAL))
    page.get_by_label("New rank").fill("2")
    page.get_by_role("button", name=re.compile("^Make it smaller")).click()
    expect(page.get_by_text("rank 2 · 9.0 kB · 93 % of the change kept")).to_be_visible()
    (sent,) = [one for one in queue.inputs if one["type"] == "resize_lora"]
    assert (sent["path"], sent["rank"], sent["name"]) == (FINAL, 2, "cat-rank2")

    failure = {"message": "The name 'cat-kohya' is taken.", "hint": "Take another one."}
    queue.states = [{"status": "COMPLETED", "output": {**made, "status": "failed", "failure": failure}}]
    page.get_by_role("button", name=re.compile("^Convert")).click()
    expect(page.get_by_text(failure["message"])).to_be_visible()


def test_a_model_is_published_in_private_unless_a_person_wants_it_public(
    open_page: OpenPage, queue: FakeQueue
) -> None:
    page = open_page(model_page(FINAL))
    page.get_by_label("Repository").fill("someone/cat")
    page.get_by_role("button", name=re.compile("^Publish")).click()
    expect(page.get_by_text("There is no repository 'someone/cat'.")).to_be_visible()
    page.get_by_label("Repository").fill("me/cat")
    page.get_by_label("Repository").press("Enter")
    expect(page.get_by_text("Published cat.safetensors with 1 sample:")).to_be_visible()
    page.get_by_label("Everyone may see it").check()
    page.get_by_label("With samples of its training").uncheck()
    page.get_by_role("button", name=re.compile("^Publish")).click()
    expect(page.get_by_text("Published cat.safetensors:")).to_be_visible()

    sent = [one for one in queue.inputs if one["type"] == "publish_model"]
    assert [(one["huggingface"]["private"], one["samples"]) for one in sent] == [
        (True, True),
        (True, True),
        (False, False),
    ]


def test_a_model_is_deleted_after_a_question(open_page: OpenPage, worker: ReportWorker) -> None:
    path = "models/loras/old.safetensors"
    worker.add_model(path, name="old", kind="lora")
    page = open_page("/library")
    page.get_by_role("button", name=re.compile("^Ask again")).click()
    page.get_by_role("link", name=re.compile("old$")).click()
    page.get_by_role("button", name=re.compile("^Delete")).click()
    expect(page.get_by_role("dialog")).to_contain_text("Delete old?")
    assert path in worker.models
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Library")
    expect(page.get_by_role("link", name=re.compile("old$"))).to_have_count(0)
    assert path not in worker.models


def test_it_draws_with_a_checkpoint_and_again_with_the_same_seed(
    open_page: OpenPage, queue: FakeQueue, worker: ReportWorker
) -> None:
    page = open_page("/playground")
    page.get_by_role("button", name="Add a LoRA").click()
    page.get_by_label("LoRA 1", exact=True).select_option(TRAINING)
    expect(page.get_by_label("Base model")).to_have_value("stabilityai/stable-diffusion-xl-base-1.0")
    expect(page.get_by_label("Checkpoint of LoRA 1")).to_have_value(FINAL)
    page.get_by_label("Checkpoint of LoRA 1").select_option("step 500")
    page.get_by_label("Weight of LoRA 1").fill("0.8")
    page.get_by_label("Prompt").fill("on a sofa")
    page.get_by_role("button", name="Add “mycat”").click()
    expect(page.get_by_label("Prompt")).to_have_value("mycat on a sofa")
    page.get_by_label("Images").fill("2")
    next_generation(queue, worker, count=2, seed=11)
    newest = generate(page)

    expect(newest).to_contain_text("seed 11")
    expect(newest.get_by_role("img")).to_have_count(2)
    (sent,) = [one for one in queue.inputs if one["type"] == "generate"]
    early = FINAL.replace("cat.safetensors", "cat_000000500.safetensors")
    assert sent["loras"] == [{"path": early, "weight": 0.8}]
    assert (sent["prompt"], sent["num_images"]) == ("mycat on a sofa", 2)
    assert "seed" not in sent
    with page.expect_download() as arriving:
        newest.get_by_role("link", name="Download").first.click()
    assert arriving.value.suggested_filename == "0.png"

    page.get_by_label("Prompt").fill("")
    newest.get_by_role("button", name="Same seed again").click()
    expect(page.get_by_label("Prompt")).to_have_value("mycat on a sofa")
    expect(page.get_by_label("Seed")).to_have_value("11")
    newest.get_by_role("button", name="Use as input").first.click()
    page.get_by_label("Change of the input").fill("0.3")
    # Every job of this queue has the same id, so what is drawn now takes the first one's place.
    next_generation(queue, worker, seed=11)
    page.get_by_role("button", name=re.compile("^Generate")).click()
    expect(newest.get_by_role("img")).to_have_count(1)
    again = [one for one in queue.inputs if one["type"] == "generate"][-1]
    assert (again["seed"], again["loras"], again["strength"]) == (11, sent["loras"], 0.3)
    assert again["image"] == "output/generate_0123456789ab/0.png"


def test_what_is_wrong_stands_beside_its_field(open_page: OpenPage, queue: FakeQueue) -> None:
    page = open_page(f"/playground?lora={quote(MERGED, safe='')}")
    expect(page.get_by_label("LoRA 1", exact=True)).to_have_value(MERGED)
    assert "?" not in page.url
    page.get_by_label("Prompt").fill("a cat")
    page.get_by_label("Steps").fill("many")
    page.get_by_label("Width").fill("3")
    page.get_by_label("Prompt").press("Tab")
    page.get_by_role("button", name=re.compile("^Generate")).press("Enter")

    expect(page.get_by_label("Steps")).to_have_accessible_description(re.compile("integer"))
    expect(page.get_by_label("Width")).to_have_attribute("aria-invalid", "true")
    assert faults(page) == []
    assert queue.inputs == []
