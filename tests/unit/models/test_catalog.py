from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.models.model_files import WHOLE, put_model

from lorapod import weights
from lorapod.errors import Conflict, InvalidInput, NotFound, UnsafePath
from lorapod.files.digests import DigestBook
from lorapod.models import headers
from lorapod.models.card import card_path
from lorapod.models.catalog import WorkspaceModels
from lorapod.models.kinds import ModelKind
from lorapod.weights import WeightsHeader
from lorapod.workspace import Workspace

PROCESS = "train_0123456789ab"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "workspace")


def open_catalog(workspace: Workspace) -> WorkspaceModels:
    return WorkspaceModels(workspace=workspace, digests=DigestBook(workspace=workspace))


@pytest.fixture
def catalog(workspace: Workspace) -> WorkspaceModels:
    return open_catalog(workspace)


def listed(catalog: WorkspaceModels, kind: ModelKind | None = None) -> dict[str, str]:
    """From path to kind."""
    page = catalog.page(kind=kind, limit=1000, cursor=None)
    assert page.next_cursor is None
    return {str(view.path): view.kind for view in page.models}


@pytest.fixture
def read_paths(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files whose headers are read from now on."""
    read: list[Path] = []
    real: Callable[[Path], WeightsHeader] = weights.read_header

    def noting(path: Path) -> WeightsHeader:
        read.append(path)
        return real(path)

    monkeypatch.setattr(weights, "read_header", noting)
    return read


def test_a_model_is_of_the_kind_of_its_folder(catalog: WorkspaceModels, workspace: Workspace) -> None:
    put_model(workspace.models / "checkpoints/base.safetensors", WHOLE)
    put_model(workspace.models / "unet/old.safetensors", WHOLE)
    put_model(workspace.models / "clip/l.safetensors", WHOLE)
    put_model(workspace.models / "Stable-Diffusion/swarm.safetensors", WHOLE)
    (workspace.models / "upscale_models").mkdir()
    (workspace.models / "upscale_models/4x.pth").write_bytes(b"x")
    assert listed(catalog) == {
        "models/Stable-Diffusion/swarm.safetensors": "checkpoint",
        "models/checkpoints/base.safetensors": "checkpoint",
        "models/clip/l.safetensors": "text_encoder",
        "models/unet/old.safetensors": "diffusion_model",
        "models/upscale_models/4x.pth": "upscale",
    }


def test_content_tells_where_the_folder_does_not(catalog: WorkspaceModels, workspace: Workspace) -> None:
    put_model(workspace.models / "mine.safetensors")
    put_model(workspace.models / "stuff/base.safetensors", WHOLE)
    put_model(workspace.output / PROCESS / "cat/cat.safetensors")
    put_model(workspace.output / PROCESS / "full/full.safetensors", WHOLE)
    assert listed(catalog) == {
        "models/mine.safetensors": "lora",
        "models/stuff/base.safetensors": "other",
        f"output/{PROCESS}/cat/cat.safetensors": "lora",
        f"output/{PROCESS}/full/full.safetensors": "checkpoint",
    }
    assert list(listed(catalog, ModelKind.LORA)) == [
        "models/mine.safetensors",
        f"output/{PROCESS}/cat/cat.safetensors",
    ]


def test_loras_of_sessions_are_listed(catalog: WorkspaceModels, workspace: Workspace) -> None:
    for folder in ("training_session_1", "training/training_session_2"):
        put_model(workspace.root / folder / "output/cat/cat.safetensors")
        put_model(workspace.root / folder / "dataset/_latent_cache/a.safetensors")
    assert listed(catalog) == {
        "training/training_session_2/output/cat/cat.safetensors": "lora",
        "training_session_1/output/cat/cat.safetensors": "lora",
    }


def test_what_is_no_model_is_not_listed(catalog: WorkspaceModels, workspace: Workspace) -> None:
    put_model(workspace.models / "loras/cat.safetensors")
    for name in ("loras/cat.txt", "loras/cat.safetensors.card.json", "loras/.hidden.safetensors", "notes.md"):
        (workspace.models / name).write_bytes(b"x")
    put_model(workspace.models / ".incoming/half.safetensors")
    put_model(workspace.output / PROCESS / "_latent_cache/a.safetensors")
    (workspace.output / PROCESS / "optimizer.pt").write_bytes(b"x")
    assert list(listed(catalog)) == ["models/loras/cat.safetensors"]


def test_a_folder_of_diffusers_is_one_model(catalog: WorkspaceModels, workspace: Workspace) -> None:
    folder = workspace.models / "sets/tiny"
    put_model(folder / "unet/diffusion_pytorch_model.safetensors", WHOLE)
    (folder / "model_index.json").write_text("{}")
    (view,) = catalog.page(kind=ModelKind.CHECKPOINT, limit=5, cursor=None).models
    size_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert (view.path, view.name, view.format) == ("models/sets/tiny", "tiny", "diffusers")
    assert view.size_bytes == size_bytes
    assert catalog.describe("models/sets/tiny", kind=None, digest=True).sha256 is None


def test_a_list_shows_what_the_header_says(catalog: WorkspaceModels, workspace: Workspace) -> None:
    put_model(
        workspace.output / PROCESS / "cat/cat_000000500.safetensors",
        training_info='{"step": 500}',
        ss_base_model_version="sdxl",
        trigger_word="ohwx",
    )
    (view,) = catalog.page(kind=ModelKind.LORA, limit=1, cursor=None).models
    assert (view.step, view.rank, view.base_model, view.trigger_words) == (500, 4, "sdxl", ["ohwx"])
    assert (view.process_id, view.name) == (PROCESS, f"trained/{PROCESS}/cat/cat_000000500")
    assert view.whole is True


def test_a_file_that_is_cut_off_is_told(catalog: WorkspaceModels, workspace: Workspace) -> None:
    put_model(workspace.models / "loras/half.safetensors", data=bytes(10))
    (workspace.models / "loras/junk.safetensors").write_bytes(b"not a model")
    assert [view.whole for view in catalog.page(kind=None, limit=9, cursor=None).models] == [False, False]


def test_pages_neither_repeat_nor_miss(catalog: WorkspaceModels, workspace: Workspace) -> None:
    names = [f"loras/{name}" for name in ("a", "a b", "a/x", "b", "b-c/y", "c")]
    for name in names:
        put_model(workspace.models / f"{name}.safetensors")
    put_model(workspace.output / PROCESS / "z/z.safetensors")
    seen: list[str] = []
    cursor = None
    while True:
        page = catalog.page(kind=ModelKind.LORA, limit=2, cursor=cursor)
        assert len(page.models) <= 2
        seen += [str(view.path) for view in page.models]
        put_model(workspace.models / "loras/0-came-later.safetensors")
        if (cursor := page.next_cursor) is None:
            break
    assert sorted(seen) == sorted(set(seen))
    assert len(seen) == len(names) + 1


def test_a_page_and_a_card_fit_a_reply_whatever_a_file_says(
    catalog: WorkspaceModels, workspace: Workspace
) -> None:
    long = "x" * 3_000_000
    keys = (
        "trigger_word",
        "base_model",
        "modelspec.description",
        "modelspec.author",
        "modelspec.architecture",
    )
    for number in range(3):
        path = workspace.models / f"loras/{number}.safetensors"
        put_model(path, metadata=dict.fromkeys(keys, long))
        words = ["y" * 300] * 100
        card_path(path).write_text(
            json.dumps({"description": "z" * 20_000, "trigger_words": words, "tags": words})
        )
    page = catalog.page(kind=None, limit=9, cursor=None)
    assert sum(len(view.model_dump_json()) for view in page.models) < 300_000
    card = catalog.describe("0", kind=None, digest=False)
    assert len(card.model_dump_json()) < 200_000


def test_a_page_ends_before_it_is_too_large(
    catalog: WorkspaceModels, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lorapod.models.catalog.PAGE_MAX_BYTES", 500)
    for number in range(9):
        put_model(workspace.models / f"loras/{number}.safetensors")
    first = catalog.page(kind=None, limit=9, cursor=None)
    assert 1 <= len(first.models) < 9
    second = catalog.page(kind=None, limit=9, cursor=first.next_cursor)
    assert second.models[0].name == str(len(first.models))


@pytest.mark.parametrize("cursor", ["x", "", "W10=", "eyJhIjoxfQ==", "[" * 100_000])
def test_a_cursor_of_somebody_elses_is_refused(catalog: WorkspaceModels, cursor: str) -> None:
    with pytest.raises(InvalidInput, match="cursor"):
        catalog.page(kind=None, limit=1, cursor=cursor)


class TestHeadersAreReadOnce:
    def test_only_those_of_the_page(
        self, catalog: WorkspaceModels, workspace: Workspace, read_paths: list[Path]
    ) -> None:
        for number in range(50):
            put_model(workspace.models / f"loras/{number:02}.safetensors")
            put_model(workspace.models / f"checkpoints/{number:02}.safetensors", WHOLE)
        catalog.page(kind=ModelKind.LORA, limit=5, cursor=None)
        # One more: it tells that there is another page.
        assert len(read_paths) == 6
        catalog.page(kind=ModelKind.LORA, limit=5, cursor=None)
        assert len(read_paths) == 6

    def test_by_another_worker_not_again(self, workspace: Workspace, read_paths: list[Path]) -> None:
        path = put_model(workspace.models / "loras/a.safetensors", trigger_word="one")
        open_catalog(workspace).page(kind=None, limit=9, cursor=None)
        del read_paths[:]
        (view,) = open_catalog(workspace).page(kind=None, limit=9, cursor=None).models
        assert (view.trigger_words, read_paths) == (["one"], [])
        put_model(path, trigger_word="another")
        (view,) = open_catalog(workspace).page(kind=None, limit=9, cursor=None).models
        assert (view.trigger_words, read_paths) == (["another"], [path])

    @pytest.mark.parametrize(
        "content", ["", "{", "[]", '{"version": 1, "files": {"a": 1}}', '{"version": 9}']
    )
    def test_a_damaged_book_is_as_none(self, workspace: Workspace, content: str) -> None:
        put_model(workspace.models / "loras/a.safetensors", trigger_word="one")
        (workspace.models / headers.FILE_NAME).write_text(content)
        (view,) = open_catalog(workspace).page(kind=None, limit=9, cursor=None).models
        assert view.trigger_words == ["one"]

    def test_a_book_that_cannot_be_written_stops_no_list(
        self, catalog: WorkspaceModels, workspace: Workspace
    ) -> None:
        put_model(workspace.models / "loras/a.safetensors")
        (workspace.models / headers.FILE_NAME).mkdir()
        assert list(listed(catalog)) == ["models/loras/a.safetensors"]


class TestLinks:
    def test_one_into_the_workspace_is_followed(self, catalog: WorkspaceModels, workspace: Workspace) -> None:
        put_model(workspace.root / "comfyui/models/loras/deep/a.safetensors")
        (workspace.models / "loras").mkdir()
        (workspace.models / "loras/old").symlink_to("../../comfyui/models/loras")
        assert list(listed(catalog)) == ["models/loras/old/deep/a.safetensors"]

    def test_one_out_of_it_is_not(
        self, catalog: WorkspaceModels, workspace: Workspace, tmp_path: Path
    ) -> None:
        outside = put_model(tmp_path / "outside/a.safetensors")
        (workspace.models / "loras").mkdir()
        (workspace.models / "loras/out").symlink_to(outside.parent)
        (workspace.models / "loras/out.safetensors").symlink_to(outside)
        assert listed(catalog) == {}

    def test_a_model_is_listed_once_whatever_leads_to_it(
        self, catalog: WorkspaceModels, workspace: Workspace
    ) -> None:
        path = put_model(workspace.output / PROCESS / "cat/cat.safetensors")
        (workspace.models / "loras").mkdir()
        (workspace.models / "loras/trained").symlink_to("../../output")
        (workspace.models / "loras/circle").symlink_to(".")
        shown = [f"output/{PROCESS}/cat/cat.safetensors"]
        assert list(listed(catalog)) == shown
        by_link = catalog.describe(
            f"models/loras/trained/{PROCESS}/cat/cat.safetensors", kind=None, digest=False
        )
        assert by_link.path == workspace.relative(path)

    def test_a_circle_outside_the_shelf_ends(self, catalog: WorkspaceModels, workspace: Workspace) -> None:
        put_model(workspace.root / "old/a.safetensors")
        (workspace.root / "old/again").symlink_to(workspace.root / "old")
        (workspace.models / "loras").mkdir()
        (workspace.models / "loras/old").symlink_to(workspace.root / "old")
        assert "models/loras/old/a.safetensors" in listed(catalog)


class TestDescribe:
    def test_everything_that_a_trainer_wrote(self, catalog: WorkspaceModels, workspace: Workspace) -> None:
        metadata = {
            "training_info": '{"step": 500, "epoch": 3}',
            "software": '{"name": "ai-toolkit", "version": "0.1"}',
            "ss_network_alpha": "8.0",
            "ss_num_train_images": "12",
            "ss_learning_rate": "1e-4",
            "ss_seed": "42",
            "ss_optimizer": "adamw8bit",
            "ss_tag_frequency": json.dumps({"1_cat": {"cat": 12, "sofa": 3}}),
            "modelspec.architecture": "stable-diffusion-xl-v1-base/lora",
            "modelspec.author": "Ada",
            "modelspec.thumbnail": "data:image/jpeg;base64," + "A" * 5000,
        }
        path = put_model(workspace.models / "loras/cat.safetensors", metadata=metadata)
        card = catalog.describe("cat", kind=None, digest=True)
        assert card.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert (card.tensor_count, card.dtypes, card.is_lora, card.rank) == (2, {"F16": 2}, True, 4)
        assert card.training is not None
        training = card.training.model_dump(exclude_none=True)
        assert training == {
            "steps": 500,
            "epochs": 3,
            "images": 12,
            "rank": 4,
            "alpha": 8.0,
            "learning_rate": 1e-4,
            "seed": 42,
            "optimizer": "adamw8bit",
            "trainer": "ai-toolkit",
        }
        assert (card.author, card.architecture) == ("Ada", metadata["modelspec.architecture"])
        assert card.metadata is not None
        assert card.metadata["ss_tag_frequency"] == {"1_cat": {"cat": 12, "sofa": 3}}
        assert card.metadata["modelspec.thumbnail"].endswith("… (5023 characters)")

    @pytest.mark.parametrize(
        "text",
        ["[1e999]", "[NaN]", "[" * 500 + "]" * 500, "{", "[" * 100_000, '{"a": "\\ud800"}', "-", "[1]"],
    )
    def test_metadata_of_any_kind_fits_an_answer(
        self, catalog: WorkspaceModels, workspace: Workspace, text: str
    ) -> None:
        notes = {"x": text, "training_info": text, "ss_seed": text, "ss_steps": text, "software": text}
        put_model(workspace.models / "loras/cat.safetensors", metadata=notes)
        card = catalog.describe("cat", kind=None, digest=False)
        json.dumps(card.model_dump(mode="json"), allow_nan=False)

    def test_a_file_that_is_no_safetensors_has_a_card_too(
        self, catalog: WorkspaceModels, workspace: Workspace
    ) -> None:
        (workspace.models / "upscale_models").mkdir()
        (workspace.models / "upscale_models/4x.pth").write_bytes(b"x")
        card = catalog.describe("4x", kind=ModelKind.UPSCALE, digest=True)
        assert (card.kind, card.format, card.whole, card.tensor_count) == ("upscale", "pth", None, None)
        assert card.sha256 == hashlib.sha256(b"x").hexdigest()

    def test_a_name_of_two_models_is_told_with_their_paths(
        self, catalog: WorkspaceModels, workspace: Workspace
    ) -> None:
        put_model(workspace.models / "loras/cat.safetensors")
        put_model(workspace.models / "checkpoints/cat.safetensors", WHOLE)
        with pytest.raises(Conflict, match="2 models 'cat'") as caught:
            catalog.describe("cat", kind=None, digest=False)
        assert "models/loras/cat.safetensors" in caught.value.hint
        assert (
            catalog.describe("cat", kind=ModelKind.LORA, digest=False).path == "models/loras/cat.safetensors"
        )

    def test_a_whole_name_goes_before_a_part_of_one(
        self, catalog: WorkspaceModels, workspace: Workspace
    ) -> None:
        put_model(workspace.models / "loras/cat.safetensors")
        put_model(workspace.models / "loras/animals/cat.safetensors")
        assert catalog.describe("cat", kind=None, digest=False).path == "models/loras/cat.safetensors"
        assert catalog.describe("animals/cat", kind=None, digest=False).name == "animals/cat"

    def test_one_that_is_not_there(self, catalog: WorkspaceModels, workspace: Workspace) -> None:
        put_model(workspace.models / "loras/cat.safetensors")
        for name in ("dog", "models/loras/dog.safetensors", "x" * 200):
            with pytest.raises(NotFound, match="There is no model"):
                catalog.describe(name, kind=None, digest=False)
        with pytest.raises(NotFound):
            catalog.describe("cat", kind=ModelKind.VAE, digest=False)
        with pytest.raises(UnsafePath):
            catalog.describe("../../etc/passwd", kind=None, digest=False)


class TestEdit:
    def edit(self, catalog: WorkspaceModels, **changes: Any) -> dict[str, Any]:
        card = catalog.edit("cat", kind=None, changes=changes)
        return {name: getattr(card, name) for name in ("title", "description", "tags", "trigger_words")}

    def test_what_is_left_out_stays_and_what_is_empty_goes(
        self, catalog: WorkspaceModels, workspace: Workspace
    ) -> None:
        path = put_model(workspace.models / "loras/cat.safetensors", trigger_word="header")
        before = path.read_bytes()
        self.edit(catalog, title="Cat", description="A cat.", tags=["animal"])
        assert self.edit(catalog, title="My cat", trigger_words=["ohwx", "zoe"]) == {
            "title": "My cat",
            "description": "A cat.",
            "tags": ["animal"],
            "trigger_words": ["ohwx", "zoe"],
        }
        assert self.edit(catalog, title=None, tags=[], trigger_words=None) == {
            "title": None,
            "description": "A cat.",
            "tags": None,
            "trigger_words": ["header"],
        }
        assert path.read_bytes() == before

    def test_fields_of_a_later_version_stay(self, catalog: WorkspaceModels, workspace: Workspace) -> None:
        path = put_model(workspace.models / "loras/cat.safetensors")
        card_path(path).write_text(json.dumps({"later": [1], "title": "Old"}))
        self.edit(catalog, title="New")
        assert json.loads(card_path(path).read_text()) == {"later": [1], "title": "New"}

    @pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff", b'{"title": 3, "tags": "x"}'])
    def test_a_damaged_card_is_none(
        self, catalog: WorkspaceModels, workspace: Workspace, content: bytes
    ) -> None:
        path = put_model(workspace.models / "loras/cat.safetensors")
        card_path(path).write_bytes(content)
        assert catalog.describe("cat", kind=None, digest=False).title is None

    def test_no_half_card_is_left_by_a_full_disk(
        self, catalog: WorkspaceModels, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = put_model(workspace.models / "loras/cat.safetensors")
        self.edit(catalog, title="Old")

        def full(_descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            self.edit(catalog, title="New")
        assert json.loads(card_path(path).read_text()) == {"title": "Old"}
        assert sorted(entry.name for entry in path.parent.iterdir()) == [path.name, card_path(path).name]


@pytest.mark.skipif(sys.platform != "linux", reason="names of raw bytes are Linux's")
def test_a_name_that_no_answer_can_hold_is_left_out(catalog: WorkspaceModels, workspace: Workspace) -> None:
    put_model(workspace.models / "loras/a.safetensors")
    name = os.fsencode(workspace.models / "loras") + b"/\xff.safetensors"
    with open(name, "wb"):  # noqa: PTH123 - a Path holds no raw bytes
        pass
    assert list(listed(catalog)) == ["models/loras/a.safetensors"]
