from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.actions.desk import Desk
from tests.unit.models.model_files import put_model


@pytest.fixture
def lora(desk: Desk) -> Path:
    return put_model(desk.root / "models/loras/cat.safetensors", trigger_word="ohwx")


def test_a_list_and_its_pages(desk: Desk, lora: Path) -> None:
    put_model(desk.root / "models/loras/dog.safetensors")
    first = desk.ask(type="list_models", kind="lora", limit=1)
    (view,) = first["models"]
    assert view == {
        "path": "models/loras/cat.safetensors",
        "name": "cat",
        "kind": "lora",
        "format": "safetensors",
        "size_bytes": lora.stat().st_size,
        "modified_at": view["modified_at"],
        "whole": True,
        "rank": 4,
        "trigger_words": ["ohwx"],
    }
    second = desk.ask(type="list_models", kind="lora", limit=1, cursor=first["next_cursor"])
    assert second["models"][0]["name"] == "dog"


def test_a_card_is_read_changed_and_read_again(desk: Desk, lora: Path) -> None:
    assert len(desk.ask(type="describe_model", model="cat")["sha256"]) == 64
    edited = desk.ask(type="edit_model", model="models/loras/cat.safetensors", title="Cat", tags=["animal"])
    assert (edited["title"], edited["tags"], edited["trigger_words"]) == ("Cat", ["animal"], ["ohwx"])
    assert desk.ask(type="edit_model", model="cat", title=None).get("title") is None
    described = desk.ask(type="describe_model", model="cat", sha256=False)
    assert (described["tags"], "sha256" in described) == (["animal"], False)
    assert described["card_path"] == "models/loras/cat.safetensors.card.json"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"type": "edit_model", "model": "cat"}, "invalid_input"),
        ({"type": "edit_model", "model": "cat", "titel": "x"}, "invalid_input"),
        ({"type": "edit_model", "model": "cat", "title": "x" * 301}, "invalid_input"),
        ({"type": "edit_model", "model": "../../etc/passwd", "title": "x"}, "unsafe_path"),
        ({"type": "describe_model", "model": "nobody"}, "not_found"),
        ({"type": "list_models", "kind": "loras"}, "invalid_input"),
        ({"type": "list_models", "engine": "swarmui"}, "unsupported"),
        ({"type": "describe_model", "model": "cat", "engine": "swarmui"}, "unsupported"),
    ],
)
def test_what_is_refused(desk: Desk, lora: Path, fields: dict[str, str], code: str) -> None:
    assert desk.ask(**fields)["code"] == code


def test_engines_that_use_the_workspace_list_the_same(desk: Desk, lora: Path) -> None:
    own = desk.ask(type="list_models")
    assert own["models"]
    assert desk.ask(type="list_models", engine="comfyui") == own
