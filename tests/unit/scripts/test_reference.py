from __future__ import annotations

from pathlib import Path

import pytest

import reference
from lorapod.actions.registry import ACTIONS
from lorapod.actions.schema import describe
from lorapod.errors import ErrorCode
from lorapod.events.event_types import EventType
from lorapod.settings import Settings
from lorapod.trainers import presets
from lorapod.wire.shapes.table import SHAPES
from lorapod.wire.validation import parse
from reference_pages.examples import EXAMPLES
from reference_pages.markdown import example


def test_the_pages_tell_of_everything() -> None:
    pages = reference.pages()
    assert all(f"\n## {name}\n" in pages["actions.md"] for name in ACTIONS)
    assert all(f"| {shape.name} | {shape.summary} |" in pages["actions.md"] for shape in SHAPES)
    assert all(f"\n## {kind}\n" in pages["events.md"] for kind in EventType)
    assert all(f"| `{code}` |" in pages["errors.md"] for code in ErrorCode)
    assert all(f"`{name.upper()}`" in pages["settings.md"] for name in Settings.model_fields)
    assert all(f"| `{name}` |" in pages["presets.md"] for name in presets.names())


@pytest.mark.parametrize("page", ["actions.md", "events.md"])
def test_every_link_on_a_page_leads_somewhere(page: str) -> None:
    text = reference.pages()[page]
    anchors = {line.lstrip("# ").lower() for line in text.splitlines() if line.startswith("#")}
    linked = {part.split(")")[0] for part in text.split("](#")[1:]}
    assert linked <= anchors


def test_the_pages_are_the_same_each_time() -> None:
    assert reference.pages() == reference.pages()


def test_secrets_are_marked_and_have_no_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "planted-token")
    page = reference.pages()["settings.md"]
    assert "planted-token" not in page
    assert "| `HF_TOKEN` or `HUGGINGFACE_API_TOKEN` or `HUGGING_FACE_HUB_TOKEN` | secret |  |" in page


def test_settings_of_this_machine_are_not_on_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    before = reference.pages()["settings.md"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    monkeypatch.setenv("WORKSPACE_PATH", "/somewhere/else")
    assert reference.pages()["settings.md"] == before


@pytest.mark.parametrize("name", sorted(ACTIONS))
def test_every_example_is_a_valid_input(name: str) -> None:
    action = ACTIONS[name]
    shown = dict(EXAMPLES.get(name) or example(describe(action).request))
    shown.pop("type", None)
    parse(action.request, shown)


@pytest.mark.parametrize("name", sorted(ACTIONS))
def test_every_field_of_a_request_says_what_it_means(name: str) -> None:
    schema = describe(ACTIONS[name]).request
    assert [field for field, told in schema["properties"].items() if not told.get("description")] == []


def test_written_pages_pass_the_check_and_edited_ones_do_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "reference"
    assert reference.main(["--check", "--folder", str(folder)]) == 1
    assert reference.main(["--write", "--folder", str(folder)]) == 0
    assert reference.main(["--check", "--folder", str(folder)]) == 0
    (folder / "errors.md").write_text("edited\n")
    capsys.readouterr()
    assert reference.main(["--check", "--folder", str(folder)]) == 1
    assert "errors.md" in capsys.readouterr().err
