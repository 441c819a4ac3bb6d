from __future__ import annotations

import re
import tomllib
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
from reference_pages.action_notes import NOTES
from reference_pages.badges import ROOT, badges, facts
from reference_pages.examples import ANSWERS, EXAMPLES
from reference_pages.markdown import example

PAGES = reference.pages()


def test_the_pages_tell_of_everything() -> None:
    assert all(f"](actions/{name}.md)" in PAGES["actions.md"] for name in ACTIONS)
    assert {f"actions/{name}.md" for name in ACTIONS} <= set(PAGES)
    assert all(f"| {shape.name} | {shape.summary} |" in PAGES["actions.md"] for shape in SHAPES)
    assert all(f"\n## {kind}\n" in PAGES["events.md"] for kind in EventType)
    assert all(f"| `{code}` |" in PAGES["errors.md"] for code in ErrorCode)
    assert all(f"`{name.upper()}`" in PAGES["settings.md"] for name in Settings.model_fields)
    assert all(f"| `{name}` |" in PAGES["presets.md"] for name in presets.names())


@pytest.mark.parametrize("name", sorted(ACTIONS))
def test_an_action_has_a_page_with_its_example_answer_errors_and_guides(name: str) -> None:
    text = PAGES[f"actions/{name}.md"]
    headings = ("## Request", "## Answer", "## Errors", "## How to")
    assert [text.count(f"\n{heading}\n") for heading in headings] == [1, 1, 1, 1]
    assert text.index("\n## Request\n") < text.index(f'"type": "{name}"') < text.index("\n## Answer\n")


@pytest.mark.parametrize("name", sorted(ACTIONS))
def test_the_example_of_an_answer_is_one_that_the_action_gives(name: str) -> None:
    ACTIONS[name].result.model_validate(ANSWERS[name])


def test_no_page_is_kept_for_what_is_not_an_action() -> None:
    assert set(ANSWERS) == set(NOTES) == set(ACTIONS)


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
    (folder / "actions" / "gone.md").write_text("of an action that is gone\n")
    capsys.readouterr()
    assert reference.main(["--check", "--folder", str(folder)]) == 1
    told = capsys.readouterr().err
    assert "errors.md" in told
    assert "gone.md" in told
    assert reference.main(["--write", "--folder", str(folder)]) == 0
    assert not (folder / "actions" / "gone.md").exists()


class TestBadges:
    """A badge shows a fact, never a service that could be away."""

    def test_they_show_what_pyproject_states(self) -> None:
        stated = {
            "project": {
                "classifiers": [
                    "Typing :: Typed",
                    "Programming Language :: Python :: 3 :: Only",
                    "Programming Language :: Python :: 3.12",
                    "Programming Language :: Python :: 3.14",
                ],
                "license": "MIT",
            },
            "tool": {"mypy": {"strict": True}},
        }
        assert facts(stated) == {
            "python": ("Python", "3.12 | 3.14"),
            "licence": ("licence", "MIT"),
            "types": ("types", "mypy strict"),
        }

    def test_readme_shows_each_with_the_same_words(self) -> None:
        text = (ROOT / "README.md").read_text("utf-8")
        shown = dict(re.findall(r"!\[([^\]]+)\]\((docs/pictures/badges/\w+\.svg)\)", text))
        assert {ROOT / path for path in shown.values()} == set(badges())
        versions = facts(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8")))["python"][1]
        assert f"Python {versions.replace(' | ', ', ')}" in shown

    def test_no_picture_of_readme_comes_from_another_host(self) -> None:
        text = (ROOT / "README.md").read_text("utf-8")
        assert not re.findall(r"!\[[^\]]*\]\(https?:", text)
