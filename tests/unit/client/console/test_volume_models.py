"""The models of a workspace by the names of its files, without a worker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from lorapod.client.console.disk_cache import DiskCache
from lorapod.client.console.known_models import KnownModels
from lorapod.client.console.volume_models import models_of
from lorapod.volume.local_files import LOCAL_FILES
from lorapod.volume.view import VolumeView
from lorapod.workspace import Workspace

FINAL = "output/train_0123456789ab/cat/cat.safetensors"


@pytest.fixture
def view(tmp_path: Path) -> Iterator[VolumeView]:
    root = tmp_path / "workspace"
    for path in (
        *("models/loras/styles/ink.safetensors", "models/checkpoints/base.safetensors", FINAL),
        *("models/diffusers/tiny/model_index.json", "models/diffusers/tiny/unet/weights.safetensors"),
        *("models/unet/x.safetensors", "models/loras/notes.txt", "models/.headers.json"),
    ):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"{}")
    card = {"title": "Ink <b>", "tags": ["ink"], "description": "long", "later": 1}
    (root / "models/loras/styles/ink.safetensors.card.json").write_text(json.dumps(card))
    (root / f"{FINAL}.card.json").write_text("not json")
    view = VolumeView(LOCAL_FILES, Workspace(root=root))
    yield view
    view.close()


def test_models_are_found_by_their_files_and_cards(view: VolumeView) -> None:
    found = {one["path"]: one for one in models_of(view)}

    assert found.keys() == {
        *("models/loras/styles/ink.safetensors", "models/checkpoints/base.safetensors", FINAL),
        *("models/diffusers/tiny", "models/unet/x.safetensors"),
    }
    ink = found["models/loras/styles/ink.safetensors"]
    assert (ink["name"], ink["kind"], ink["title"], ink["tags"]) == ("styles/ink", "lora", "Ink <b>", ["ink"])
    assert "description" not in ink
    assert found[FINAL]["process_id"] == "train_0123456789ab"
    assert found[FINAL]["name"] == "trained/train_0123456789ab/cat/cat"
    assert "kind" not in found[FINAL]
    tiny = found["models/diffusers/tiny"]
    assert (tiny["kind"], tiny["format"], tiny["size_bytes"]) == ("checkpoint", "diffusers", 4)


def test_an_empty_workspace_has_none(tmp_path: Path) -> None:
    view = VolumeView(LOCAL_FILES, Workspace(root=tmp_path))
    assert models_of(view) == []
    view.close()


def test_what_a_worker_told_stays_while_the_file_is_the_same(view: VolumeView, tmp_path: Path) -> None:
    known = KnownModels(DiskCache(tmp_path / "cache"))
    told = [{**one, "rank": 16, "kind": "lora"} for one in models_of(view)]
    known.learn_list(told)
    (view.workspace.root / FINAL).write_bytes(b"longer")
    (view.workspace.root / "models/unet/x.safetensors").unlink()
    known.learn_files(models_of(view))

    now = {one["path"]: one.get("rank") for one in known.all()}
    assert now[FINAL] is None
    assert now["models/loras/styles/ink.safetensors"] == 16
    assert "models/unet/x.safetensors" not in now
