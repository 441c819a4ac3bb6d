"""The console's page of a new training in a real browser, over a real worker: the form and the YAML, checks, the start."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect
from tests.browser import PHONE, faults, needs_chromium, too_wide
from tests.console_pages import ConsoleOverWorker, console_over_worker, write_dataset

pytestmark = needs_chromium

HOSTILE = "<img src=x onerror=alert(1)>"


def _prepare(workspace: Path) -> None:
    write_dataset(workspace / "training_data" / "cat", 4)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleOverWorker]:
    environment = {"ALLOW_CPU": "true"}
    with console_over_worker(tmp_path_factory.mktemp("console"), _prepare, environment=environment) as served:
        yield served


@pytest.fixture
def site(served: ConsoleOverWorker) -> Iterator[ConsoleOverWorker]:
    yield served
    served.close_pages()


def test_the_form_and_the_text_are_the_same_request(site: ConsoleOverWorker) -> None:
    page = site.open("/new?dataset=cat")
    page.get_by_role("searchbox", name="Filter models").fill("xl")
    page.get_by_role("radio", name=re.compile("^sdxl ")).click()
    expect(page.get_by_text("from 12 GB of GPU memory")).to_be_visible()
    steps, rank = page.get_by_label("Steps", exact=True), page.get_by_label("Rank", exact=True)
    expect(steps).to_have_attribute("placeholder", "the preset's: 2,000")
    steps.fill("20")
    page.get_by_label("Learning rate", exact=True).fill("2e-4")
    rank.fill("8, 16")
    editor = page.get_by_role("textbox", name="As YAML")
    for line in ("preset: sdxl", "training_name: cat", "steps: 20", "learning_rate: 0.0002", "- rank: 8"):
        expect(editor).to_have_value(re.compile(re.escape(line)))
    expect(page.get_by_role("button", name="Start 2 trainings")).to_be_enabled()

    editor.fill("preset: sdxl\ndataset: {training_name: cat}\nsteps: 30\nnetwork: {type: lokr}\n")
    expect(steps).to_have_value("30")
    expect(rank).to_have_value("")
    expect(page.get_by_label("Network", exact=True)).to_have_value('"lokr"')
    editor.fill("preset: [sdxl\nsteps: 3")
    expect(page.get_by_text(re.compile("Line 2 cannot be read"))).to_be_visible()
    expect(page.get_by_role("button", name="Start the training")).to_be_disabled()
    expect(steps).to_have_value("30")


def test_a_training_begins_with_a_checkpoint_or_a_lora_of_the_volume(site: ConsoleOverWorker) -> None:
    earlier = "train_0123456789ab"
    known = {
        "process_id": earlier,
        "type": "train",
        "status": "completed",
        "created_at": "x",
        "name": "old cat",
    }
    steps = [{"path": f"output/{step}.safetensors", "step": step} for step in (500, 1000)]
    site.console.parts.processes.learn({**known, "checkpoints": steps}, whole=True)
    lora = {"path": "models/loras/style.safetensors", "name": "style", "kind": "lora"}
    site.console.parts.models.learn_list([lora, {**lora, "path": "models/vae.safetensors", "kind": "vae"}])
    page = site.open("/new?dataset=cat")
    editor = page.get_by_role("textbox", name="As YAML")
    begin = page.get_by_label("Start from an earlier LoRA")

    begin.select_option(label="old cat (89ab)")
    page.get_by_label("Its checkpoint").select_option(label="step 500")
    expect(editor).to_have_value(re.compile(f"process_id: {earlier}\n  step: 500"))
    expect(begin.get_by_role("option")).to_have_count(3)

    begin.select_option(label="style")
    expect(editor).to_have_value(re.compile("start_from:\n  path: models/loras/style.safetensors\n"))
    expect(editor).not_to_have_value(re.compile("process_id"))
    begin.select_option(label="fresh weights")
    expect(editor).not_to_have_value(re.compile("start_from"))


def test_what_is_wrong_stands_beside_its_field_and_asks_no_worker(site: ConsoleOverWorker) -> None:
    page = site.open("/new")
    editor = page.get_by_role("textbox", name="As YAML")
    editor.fill(f"preset: sdxl\nsteps: abc\nrank: 0\nstepz: 1\nname: '{HOSTILE}'\n")

    for label, problem in (
        ("Steps", "must be a valid integer"),
        ("Rank", "must be greater than or equal to 1"),
    ):
        field = page.get_by_label(label, exact=True)
        expect(field).to_have_attribute("aria-invalid", "true")
        expect(field).to_have_accessible_description(problem)
    expect(page.locator(".notice.bad")).to_contain_text("stepz: unknown field, did you mean 'steps'?")
    expect(page.get_by_label("Name of the LoRA")).to_have_value(HOSTILE)
    expect(page.get_by_role("button", name="Start the training")).to_be_disabled()
    assert page.locator("img[src='x']").count() == 0
    assert site.console.parts.asks.view("dry run") is None


def test_the_worker_checks_it_while_one_types_only_if_live_is_on(site: ConsoleOverWorker) -> None:
    page = site.open("/new?dataset=cat")
    page.get_by_role("textbox", name="As YAML").fill(
        "preset: sdxl\ndataset: {training_name: cat}\nsteps: 20\n"
    )
    check = page.get_by_role("button", name=re.compile("^Check with the worker"))
    check.click()
    expect(page.get_by_text("The worker would take it.")).to_be_visible()
    expect(page.get_by_text(re.compile("^Takes about"))).to_be_visible()
    page.get_by_label("Steps", exact=True).fill("40")
    expect(page.get_by_text("It has changed since the worker saw it.")).to_be_visible()

    page.get_by_role("switch").check()
    expect(page.get_by_text("It has changed since the worker saw it.")).to_have_count(0)
    page.get_by_role("textbox", name="As YAML").fill(
        "preset: sdxl\ndataset: {training_name: missing}\nsteps: 40\n"
    )
    expect(page.get_by_text("The worker would refuse it.")).to_be_visible()
    expect(page.get_by_text("There is no dataset 'missing'.")).to_be_visible()


def test_a_training_is_started_and_its_page_opens(site: ConsoleOverWorker) -> None:
    page = site.open("/new?dataset=cat")
    page.get_by_role("radio", name=re.compile("^sdxl ")).click()
    page.get_by_label("Name of the LoRA").fill("my cat")
    page.get_by_label("Steps", exact=True).fill("20")
    page.get_by_role("button", name="Start the training").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("my cat")
    process_id = page.url.rpartition("/")[2]
    assert re.fullmatch("train_[0-9a-f]{12}", process_id)
    config = (site.workspace / "processes" / process_id / "config.yaml").read_text("utf-8")
    assert "steps: 20" in config


def test_the_page_is_without_fault_on_a_desk_and_on_a_phone_in_the_dark(site: ConsoleOverWorker) -> None:
    found: dict[str, list[str]] = {}
    for scheme, options in (("light", {}), ("dark", {"viewport": PHONE})):
        page = site.open("/new?dataset=cat", color_scheme=scheme, **options)
        expect(page.get_by_role("radiogroup", name="Model")).to_be_visible()
        found[scheme] = faults(page)
        page.get_by_role("textbox", name="As YAML").fill("preset: sdxl\nsteps: abc\nrank: [8, 16]\n")
        expect(page.get_by_text("must be a valid integer").first).to_be_visible()
        page.get_by_text("More settings").click()
        expect(page.get_by_role("button", name=re.compile("^Start"))).to_be_in_viewport(ratio=0.9)
        found[f"{scheme} filled"] = faults(page) + too_wide(page)
    assert {name: each for name, each in found.items() if each} == {}


def test_what_is_typed_at_once_is_not_overtaken_by_the_page_s_first_request(site: ConsoleOverWorker) -> None:
    page = site.open("/")
    # Types as soon as the editor is in the page, before the page's effects have run.
    page.add_init_script(
        """new MutationObserver(() => {
          const editor = document.querySelector("textarea.yaml");
          if (!editor || window.typed) return;
          window.typed = true;
          editor.value = "preset: sdxl\\ndataset: {training_name: cat}\\nsteps: 33\\n";
          editor.dispatchEvent(new Event("input", { bubbles: true }));
        }).observe(document, { childList: true, subtree: true });"""
    )
    page.goto(f"{site.url}/new?dataset=cat")

    expect(page.get_by_label("Steps", exact=True)).to_have_value("33")
    expect(page.get_by_role("textbox", name="As YAML")).to_have_value(re.compile("steps: 33"))
    expect(page.get_by_role("button", name="Start the training")).to_be_enabled()
