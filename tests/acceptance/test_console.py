"""The whole way in a browser: upload a folder, have it captioned, train, watch, compare, download the LoRA, draw with it."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from safetensors import safe_open
from tests.browser import needs_chromium
from tests.console_pages import ConsoleOverWorker, console_over_worker
from tests.error_log import error_log
from tests.tiny_captioners import WORDS, tiny_captioner
from tests.tiny_models import place_tiny

import lorapod
from lorapod.testing.pictures import draw_dataset

pytest.importorskip("diffusers", reason="needs the `builtin` extra")
pytestmark = [pytest.mark.torch, pytest.mark.timeout(300), needs_chromium]

#: How long a worker may load its libraries.
PATIENCE_MS = 90_000


def _prepare(workspace: Path) -> None:
    place_tiny(workspace / "models" / "tiny")
    shutil.copytree(tiny_captioner("blip"), workspace / "models" / "blip")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleOverWorker]:
    folder = tmp_path_factory.mktemp("console")
    command = [sys.executable, str(Path(lorapod.__file__).parent.parent / "rp_handler.py")]
    environment = {"ALLOW_CPU": "true", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    with console_over_worker(
        folder,
        _prepare,
        command=command,
        environment=environment,
        log_folder=error_log.watch(folder / "logs"),
    ) as served:
        yield served


@pytest.fixture
def site(served: ConsoleOverWorker) -> Iterator[ConsoleOverWorker]:
    yield served
    served.close_pages()


def _trained(site: ConsoleOverWorker, tmp_path: Path) -> str:
    """Return the training of the test before this one; if that did not run, train now."""
    listed = site.client.call("processes")["processes"]
    ended = [one for one in listed if one["type"] == "train" and one["status"] == "completed"]
    if ended:
        return str(ended[0]["process_id"])
    (tmp_path / "creatures").mkdir()
    draw_dataset(tmp_path / "creatures")
    site.client.upload_dataset(tmp_path / "creatures", "creatures")
    training = site.client.train(
        preset="sd15",
        model="models/tiny",
        dataset={"training_name": "creatures"},
        trainer="builtin",
        steps=4,
        resolution=64,
        name="creatures",
        sample_prompts=["a mimo"],
        trigger_word="mimo",
    )
    training.wait()
    return training.process_id


def _upload(page: Page, folder: Path) -> None:
    page.get_by_label("Choose a folder").set_input_files(folder)
    page.get_by_role("dialog").get_by_role("button", name="Upload").click()
    expect(page.get_by_text(re.compile("^Uploaded"))).to_be_visible(timeout=PATIENCE_MS)


def _caption(page: Page) -> None:
    page.get_by_role("button", name="Write captions…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("without a caption").check()
    dialog.get_by_label("Trigger word, first in each caption").fill("mimo")
    dialog.get_by_label("Model (empty: the worker's own)").fill("models/blip")
    dialog.get_by_role("button", name="Start").click()
    expect(page.get_by_text(re.compile(r"^\d+ captioned, 0 skipped, 0 failed"))).to_be_visible(
        timeout=PATIENCE_MS
    )
    said = page.locator(".tile").first.locator(".words")
    expect(said).to_contain_text("mimo")
    # The end of a long caption is cut off in the gallery.
    words = re.findall(r"\w+", said.inner_text())[:-1]
    assert len(words) > 2
    assert set(words) <= {"mimo", *WORDS}


def _compare(page: Page) -> None:
    """Have the checkpoints of a training compared, see both, and go back."""
    training = page.url
    page.get_by_role("button", name=re.compile("^Compare the checkpoints")).click()
    expect(page).to_have_url(re.compile("/comparisons/compare_"), timeout=PATIENCE_MS)
    state, cells = page.locator("h1 + p .status"), page.get_by_role("region", name="Cells")
    again = page.get_by_role("button", name=re.compile("^Ask"))
    for _ in range(60):
        if state.inner_text() == "Completed":
            break
        again.click()
        expect(again).to_be_visible(timeout=PATIENCE_MS)
        page.wait_for_timeout(500)
    expect(state).to_have_text("Completed")
    expect(cells.get_by_role("img")).to_have_count(2)
    expect(cells.get_by_role("img").first).to_have_attribute("alt", "“a mimo” drawn by step 2")
    expect(page.get_by_role("button", name="Keep step 4")).to_be_visible()
    page.goto(training)


def test_the_whole_way(site: ConsoleOverWorker, tmp_path: Path) -> None:
    folder = tmp_path / "creatures"
    folder.mkdir()
    draw_dataset(folder)
    for caption in folder.glob("*.txt"):
        caption.unlink()
    page = site.open("/datasets")
    _upload(page, folder)
    _caption(page)

    page.get_by_role("link", name="Train on it").click()
    page.get_by_role("textbox", name="As YAML").fill(
        "preset: sd15\nmodel: models/tiny\ndataset: {training_name: creatures}\ntrainer: builtin\nsteps: 4\n"
        "resolution: 64\nname: creatures\nsample_prompts: [a mimo]\ntrigger_word: mimo\nsave_every: 2\n"
    )
    page.get_by_role("button", name="Start the training").click()
    expect(page).to_have_url(re.compile("/trainings/train_"), timeout=PATIENCE_MS)
    page.get_by_role("switch", name=re.compile("Live")).check()
    expect(page.locator("h1 + p .status")).to_have_text("Completed", timeout=PATIENCE_MS)
    page.get_by_role("button", name=re.compile("^Ask")).click()
    expect(page.get_by_role("region", name="Samples").get_by_role("img").first).to_be_visible()

    _compare(page)
    with page.expect_download(timeout=PATIENCE_MS) as arriving:
        page.get_by_role("button", name=re.compile("^Download step")).first.click()
    with safe_open(arriving.value.path(), "pt") as weights:
        assert weights.keys()


def _jobs(site: ConsoleOverWorker) -> dict[str, int]:
    return dict(site.client.health()["jobs"])


def _drawn(page: Page, count: int) -> str:
    """Generate; return the digest of the image that is drawn then, of so many."""
    page.get_by_role("button", name=re.compile("^Generate")).click()
    expect(page.locator(".drawn")).to_have_count(count)
    image = page.locator(".drawn").first.get_by_role("img")
    expect(image).to_be_visible(timeout=PATIENCE_MS)
    return str(image.get_attribute("src")).partition("?")[0].rpartition("/")[2]


def test_the_lora_in_the_library_and_in_the_playground(site: ConsoleOverWorker, tmp_path: Path) -> None:
    process_id = _trained(site, tmp_path)
    site.console.learn(process_id)
    before = _jobs(site)
    page = site.open("/library")
    page.goto(f"{site.url}/playground")
    expect(page.get_by_label("Prompt")).to_be_visible()
    page.goto(f"{site.url}/library")
    expect(page.get_by_text("No model is known yet")).to_be_visible()
    assert _jobs(site) == before

    page.get_by_role("button", name=re.compile("^Ask the worker")).click()
    page.get_by_role("combobox", name="Kind").select_option("lora")
    card = page.locator(".card", has_text="creatures").first
    expect(card).to_contain_text("models/tiny")
    expect(card).to_contain_text("mimo")
    expect(card.get_by_role("img")).to_have_count(0)
    expect(card.locator("img")).to_be_visible()
    card.get_by_role("link").click()
    page.get_by_role("button", name=re.compile("^Ask the worker")).click()
    page.get_by_label("Title", exact=True).fill("<b>Mimo</b>")
    page.get_by_role("button", name=re.compile("^Save the card")).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("<b>Mimo</b>")
    page.get_by_label("New rank").fill("2")
    page.get_by_role("button", name=re.compile("^Make it smaller")).click()
    expect(page.get_by_role("link", name=re.compile("^Made models.*creatures-rank2"))).to_be_visible(
        timeout=PATIENCE_MS
    )
    with page.expect_download(timeout=PATIENCE_MS) as arriving:
        page.get_by_role("button", name=re.compile("^Download")).click()
    with safe_open(arriving.value.path(), "pt") as weights:
        assert weights.keys()

    page.get_by_role("button", name="Use in the playground").click()
    expect(page.get_by_label("Base model")).to_have_value(re.compile("models.tiny$"))
    expect(page.get_by_label("LoRA 1", exact=True)).to_have_value(process_id)
    page.get_by_label("Prompt").fill("a mimo")
    for label, value in (("Width", 64), ("Height", 64), ("Steps", 2)):
        page.get_by_label(label, exact=True).fill(str(value))
    first = _drawn(page, 1)
    page.get_by_label("Steps", exact=True).fill("1")
    other = _drawn(page, 2)
    page.locator(".drawn").last.get_by_role("button", name="Same seed again").click()
    assert _drawn(page, 3) == first
    assert other != first
    stored = site.console.parts.generations.all()
    assert [one["request"]["steps"] for one in stored] == [2, 1, 2]
    assert stored[0]["engine"] == "diffusers"
