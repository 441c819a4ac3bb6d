"""The console's pages of datasets in a real browser, over a real worker: look, caption, change, upload, delete."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from tests.browser import LARGE, PHONE, faults, needs_chromium, too_wide
from tests.console_pages import KEY, ConsoleOverWorker, console_over_worker, write_dataset
from tests.report_worker import painting

pytestmark = needs_chromium

HOSTILE = "<img src=x onerror=alert(1)>"
RIGHT_TO_LEFT = "שלום עולם, חתול על ספה"
LONG = "w" * 10_000
ODD_NAME = "a<b onload=x> שלום.png"
MOST_PICTURES = 300
MANY = 700


def _prepare(workspace: Path) -> None:
    data = workspace / "training_data"
    write_dataset(data / "cat", 12)
    write_dataset(data / "many", MANY, side=16)
    write_dataset(data / "mine", 6)
    odd = data / "odd"
    odd.mkdir()
    for number, (name, caption) in enumerate(
        (
            (ODD_NAME, HOSTILE),
            ("1.png", RIGHT_TO_LEFT),
            ("2.png", LONG),
            ("3.png", "</textarea><script>x</script>"),
        )
    ):
        (odd / name).write_bytes(painting(number, 1.0, side=64))
        (odd / name).with_suffix(".txt").write_text(caption, "utf-8")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleOverWorker]:
    with console_over_worker(tmp_path_factory.mktemp("console"), _prepare) as served:
        yield served


@pytest.fixture
def site(served: ConsoleOverWorker) -> Iterator[ConsoleOverWorker]:
    yield served
    served.close_pages()


def _look_at(page: Page, name: str) -> None:
    """Have a dataset's images on its page, asking the worker if it must be."""
    expect(page.get_by_role("heading", level=1)).to_have_text(name)
    unseen = page.get_by_role("button", name=re.compile("^Ask the worker"))
    expect(unseen.or_(page.locator(".tile").first).first).to_be_visible()
    if unseen.is_visible():
        unseen.click()
    expect(page.locator(".tile").first).to_be_visible()


def test_opening_the_pages_asks_no_worker_and_asking_fills_them(site: ConsoleOverWorker) -> None:
    page = site.open("/datasets")
    expect(page.get_by_role("heading", name="No dataset yet")).to_be_visible()
    assert "jobs" not in str(site.console.parts.datasets.all())

    page.get_by_role("button", name=re.compile("Ask the worker")).click()
    card = page.get_by_role("article").filter(has=page.get_by_role("link", name="cat"))
    expect(card).to_contain_text("12 images · 9 captions")

    card.get_by_role("link").click()
    _look_at(page, "cat")
    expect(page.locator(".tile")).to_have_count(12)
    page.goto(f"{site.url}/datasets")
    expect(card.locator("img")).to_have_count(4)


def test_asking_for_a_dataset_that_is_not_there_says_so(site: ConsoleOverWorker) -> None:
    page = site.open("/datasets/nowhere")
    page.get_by_role("button", name=re.compile("Ask the worker")).click()
    expect(page.get_by_role("alert")).to_contain_text("There is no dataset 'nowhere'.")
    expect(page.get_by_role("button", name=re.compile("Ask the worker"))).to_be_visible()


def test_captions_are_written_by_keyboard_saved_and_taken_back(site: ConsoleOverWorker) -> None:
    page = site.open("/datasets/mine")
    _look_at(page, "mine")
    page.get_by_role("button", name=re.compile("IMG_0000.png: no caption")).focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    editor = page.get_by_role("dialog", name="Caption of IMG_0001.png")
    expect(editor.get_by_role("textbox")).to_be_focused()

    page.keyboard.press("End")
    page.keyboard.type(", asleep")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("heading", name="IMG_0002.png")).to_be_visible()
    page.keyboard.press("PageUp")
    expect(page.get_by_role("textbox", name="Caption")).to_have_value("a photo of mycat number 1, asleep")
    page.keyboard.press("Escape")
    page.reload()
    expect(page.locator(".tile").nth(1)).to_contain_text("unsaved")

    page.get_by_role("button", name="Save 1 caption").click()
    expect(page.get_by_role("button", name="Save 1 caption")).to_have_count(0)
    expect(page.get_by_role("button", name="Undo the last edit")).to_be_enabled()
    caption = site.datasets / "mine" / "IMG_0001.txt"
    assert caption.read_text("utf-8").strip() == "a photo of mycat number 1, asleep"

    page.get_by_role("button", name="Undo the last edit").click()
    expect(page.locator(".tile").nth(1)).not_to_contain_text("asleep")
    assert caption.read_text("utf-8").strip() == "a photo of mycat number 1"


def test_many_captions_change_after_a_preview_and_items_are_deleted_after_a_question(
    site: ConsoleOverWorker,
) -> None:
    page = site.open("/datasets/cat")
    _look_at(page, "cat")
    page.get_by_role("button", name="Change captions…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Operation").select_option("replace")
    dialog.get_by_label("Find", exact=True).fill("photo")
    dialog.get_by_label("By", exact=True).fill("painting")
    apply = dialog.get_by_role("button", name=re.compile("^Change \\d+ caption"))
    expect(apply).to_be_disabled()
    dialog.get_by_role("button", name="Preview").click()
    expect(dialog).to_contain_text("9 captions would change")
    expect(dialog.get_by_role("list")).to_contain_text("a painting of mycat number 1")
    assert (site.datasets / "cat" / "IMG_0001.txt").read_text("utf-8") == "a photo of mycat number 1"
    dialog.get_by_label("By", exact=True).fill("drawing")
    expect(apply).to_be_disabled()
    dialog.get_by_role("button", name="Preview").click()
    apply.click()
    expect(page.locator(".tile").nth(1)).to_contain_text("a drawing of mycat number 1")

    page.get_by_label("Flag").select_option("no_caption")
    expect(page.locator(".tile")).to_have_count(3)
    page.get_by_label("Select IMG_0000.png").check()
    page.get_by_role("button", name="Delete 1…").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.locator(".tile")).to_have_count(2)
    assert not (site.datasets / "cat" / "IMG_0000.png").exists()
    assert (site.datasets / "cat" / "IMG_0005.png").exists()


def test_the_buckets_of_a_resolution_are_shown(site: ConsoleOverWorker) -> None:
    page = site.open("/datasets/odd")
    _look_at(page, "odd")
    buckets = page.get_by_role("region", name="Buckets")
    buckets.get_by_role("textbox").fill("64")
    buckets.get_by_role("button", name=re.compile("^Show")).click()
    expect(buckets.get_by_role("progressbar", name=re.compile("^64 . 64: 4 images"))).to_be_visible()
    buckets.get_by_role("textbox").fill("7")
    buckets.get_by_role("button", name=re.compile("^Show")).click()
    expect(page.get_by_role("alert")).to_contain_text("resolution")
    expect(buckets.get_by_role("textbox")).to_have_value("7")


def test_hostile_names_and_captions_stay_text(site: ConsoleOverWorker) -> None:
    page = site.open("/datasets/odd")
    _look_at(page, "odd")
    for text in (HOSTILE, RIGHT_TO_LEFT, "</textarea><script>x</script>"):
        expect(page.locator(".tile").filter(has_text=text)).to_have_count(1)
    page.locator(".tile").filter(has_text=HOSTILE).get_by_role("button").click()
    expect(page.get_by_role("textbox", name="Caption")).to_have_value(HOSTILE)
    expect(page.get_by_role("heading", level=2).first).to_have_text(ODD_NAME)
    assert faults(page) == []
    page.keyboard.press("Escape")

    assert page.locator("img[src='x']").count() == 0
    assert too_wide(page) == []


def test_a_large_dataset_has_few_pictures_in_the_document(site: ConsoleOverWorker) -> None:
    page = site.open("/datasets/many", viewport=LARGE)
    _look_at(page, "many")
    expect(page.locator("main [role=status]").filter(has_text="items")).to_contain_text(str(MANY))
    counts = []
    for share in (0, 0.3, 0.7, 1):
        page.evaluate(f"window.scrollTo(0, document.body.scrollHeight * {share})")
        page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        counts.append(page.locator("img").count())
    expect(page.get_by_role("button", name=f"IMG_{MANY - 1:04}.png")).to_be_in_viewport()

    assert max(counts) <= MOST_PICTURES
    assert min(counts) > 30


def test_a_folder_is_uploaded_and_then_a_file_dropped_onto_it(
    site: ConsoleOverWorker, tmp_path: Path
) -> None:
    folder = tmp_path / "dog pictures"
    write_dataset(folder, 4)
    (folder / "notes.pdf").write_bytes(b"%PDF")
    page = site.open("/datasets")
    page.get_by_label("Choose a folder").set_input_files(folder)
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Name of the dataset")).to_have_value("dog pictures")
    dialog.get_by_role("button", name="Upload").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("dog pictures")
    expect(page.locator(".tile")).to_have_count(4)
    expect(page.locator("main")).to_contain_text("Uploaded. The dataset has 4 images and 3 captions.")
    sent = {path.name for path in (site.datasets / "dog pictures").iterdir()}
    assert {"IMG_0000.png", "IMG_0001.txt"} <= sent
    assert "notes.pdf" not in sent
    assert site.console.parts.uploads.all() == []

    transfer = page.evaluate_handle(
        """(letters) => { const data = new DataTransfer(); const bytes = Uint8Array.from(atob(letters), (one) => one.charCodeAt(0));
        data.items.add(new File([bytes], 'dropped.png', { type: 'image/png' })); return data; }""",
        _base64(painting(1, 1.0, side=80)),
    )
    page.dispatch_event(".drop", "drop", {"dataTransfer": transfer})
    page.get_by_role("dialog").get_by_role("button", name="Upload").click()
    expect(page.locator(".tile")).to_have_count(5)
    assert (site.datasets / "dog pictures" / "dropped.png").is_file()


def test_a_dataset_is_deleted_after_a_question_and_its_drafts_go_with_it(site: ConsoleOverWorker) -> None:
    write_dataset(site.datasets / "unwanted", 2)
    page = site.open("/datasets/unwanted")
    _look_at(page, "unwanted")
    page.locator(".tile").nth(1).get_by_role("button").click()
    page.get_by_role("textbox", name="Caption").fill("a draft")
    page.keyboard.press("Escape")
    expect(page.locator(".tile").nth(1)).to_contain_text("unsaved")
    page.get_by_role("button", name="Delete the dataset…").click()
    page.get_by_role("dialog").get_by_role("button", name="Back").click()
    assert (site.datasets / "unwanted").is_dir()
    page.get_by_role("button", name="Delete the dataset…").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Datasets")
    expect(page.get_by_role("link", name="unwanted")).to_have_count(0)
    assert not (site.datasets / "unwanted").exists()

    write_dataset(site.datasets / "unwanted", 2)
    page.goto(f"{site.url}/datasets/unwanted")
    _look_at(page, "unwanted")
    expect(page.locator(".tile").nth(1)).to_contain_text("mycat number 1")
    expect(page.get_by_text("unsaved")).to_have_count(0)


def test_the_pages_are_without_fault_on_a_desk_and_on_a_phone_in_the_dark(site: ConsoleOverWorker) -> None:
    found: dict[str, list[str]] = {}
    answers: list[bytes] = []
    for scheme, viewport in (("light", None), ("dark", PHONE)):
        options = {"viewport": viewport} if viewport else {}
        page = site.open("/datasets", color_scheme=scheme, **options)
        page.on("response", lambda response: answers.append(response.body()))
        for path in ("/datasets", "/datasets/mine", "/datasets/unknown"):
            page.goto(f"{site.url}{path}")
            expect(page.get_by_role("heading", level=1)).to_be_visible()
            if path.endswith("mine"):
                _look_at(page, "mine")
            found[f"{scheme} {path}"] = faults(page) + too_wide(page)
    assert {path: each for path, each in found.items() if each} == {}
    assert len(answers) > 20
    assert not any(KEY.encode() in body for body in answers)


def _base64(data: bytes) -> str:
    import base64

    return base64.b64encode(data).decode()
