"""Where the tokenizer of a training is looked for, and how much of a caption its trainer reads."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from tests.tiny_tokenizers import make_clip, make_t5

from lorapod.datasets.gallery.captions import caption_statistics
from lorapod.datasets.gallery.tokenizer import TokenizerUnusable
from lorapod.errors import InvalidInput
from lorapod.model_paths import ModelPaths
from lorapod.trainers.caption_tokenizers import CaptionReader, find_caption_tokenizer
from lorapod.trainers.presets import preset as presets
from lorapod.workspace import Workspace


class Shelf:
    """A volume, and what was downloaded from the Hub."""

    def __init__(self, root: Path) -> None:
        self.workspace = Workspace.create(root / "workspace")
        self.hub = root / "hub"

    def snapshot(self, hub_id: str, commit: str = "abc") -> Path:
        """As the Hub's libraries lay a repository out: links to blobs."""
        folder = self.hub / f"models--{hub_id.replace('/', '--')}" / "snapshots" / commit
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def find(self, **model: str) -> tuple[str, int | None]:
        found = find_caption_tokenizer(CaptionReader(**model), ModelPaths(workspace=self.workspace), self.hub)
        return found.name, found.limit


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def test_the_base_model_on_the_volume_comes_first(shelf: Shelf) -> None:
    make_clip(shelf.snapshot("stabilityai/stable-diffusion-xl-base-1.0") / "tokenizer")
    make_clip(shelf.workspace.models / "mine" / "tokenizer")

    assert shelf.find(name="models/mine", arch="sdxl") == ("models/mine/tokenizer", 77)


def test_what_the_hub_was_asked_for_before_is_found_behind_its_links(shelf: Shelf, tmp_path: Path) -> None:
    whole = make_t5(tmp_path / "blobs")
    half = shelf.snapshot("black-forest-labs/FLUX.1-dev", "half") / "tokenizer_2"
    half.mkdir()
    (half / "tokenizer.json").symlink_to(tmp_path / "blobs" / "not-there-yet")
    linked = shelf.snapshot("black-forest-labs/FLUX.1-dev", "whole") / "tokenizer_2"
    linked.mkdir()
    (linked / "tokenizer.json").symlink_to(whole / "tokenizer.json")
    make_clip(shelf.snapshot("black-forest-labs/FLUX.1-dev", "whole") / "tokenizer")

    found = shelf.find(name="black-forest-labs/FLUX.1-dev", arch="flux")

    assert found == ("black-forest-labs/FLUX.1-dev/tokenizer_2", 512)


@pytest.mark.parametrize("name", ["models/checkpoints/pony.safetensors", "someone/sdxl-finetune"])
def test_a_model_without_one_is_counted_with_that_of_its_kind(shelf: Shelf, name: str) -> None:
    (shelf.workspace.models / "checkpoints").mkdir(exist_ok=True)
    (shelf.workspace.models / "checkpoints" / "pony.safetensors").write_bytes(b"x")
    with pytest.raises(TokenizerUnusable, match=f"the tokenizer of {re.escape(name)} is not on this worker"):
        shelf.find(name=name, arch="sdxl")

    make_clip(shelf.snapshot("openai/clip-vit-large-patch14"))
    assert shelf.find(name=name, arch="sdxl") == ("openai/clip-vit-large-patch14", 77)

    make_clip(shelf.snapshot("stabilityai/stable-diffusion-xl-base-1.0") / "tokenizer")
    assert shelf.find(name=name, arch="sdxl")[0] == "stabilityai/stable-diffusion-xl-base-1.0/tokenizer"


def test_an_architecture_alone_is_enough_if_a_preset_trains_it(shelf: Shelf) -> None:
    make_t5(shelf.snapshot("Wan-AI/Wan2.1-T2V-14B-Diffusers") / "tokenizer")
    assert shelf.find(arch="wan21") == ("Wan-AI/Wan2.1-T2V-14B-Diffusers/tokenizer", 512)
    with pytest.raises(TokenizerUnusable, match="no preset trains the architecture 'sdxxl'"):
        shelf.find(arch="sdxxl")


def test_a_damaged_one_is_passed_over_and_told_if_there_is_no_other(shelf: Shelf) -> None:
    broken = shelf.workspace.models / "mine" / "tokenizer"
    broken.mkdir(parents=True)
    (broken / "tokenizer.json").write_text("{")
    with pytest.raises(TokenizerUnusable, match="models/mine/tokenizer cannot be read"):
        shelf.find(name="models/mine", arch="sd1")
    make_clip(shelf.snapshot("openai/clip-vit-large-patch14"))
    assert shelf.find(name="models/mine", arch="sd1")[0] == "openai/clip-vit-large-patch14"


@pytest.mark.parametrize("name", ["../../etc", "/etc", "a\0b", "a/b/c", "models/none", "x" * 5000, ".."])
def test_a_name_of_nothing_is_a_sentence(shelf: Shelf, name: str) -> None:
    with pytest.raises(TokenizerUnusable, match="not on this worker"):
        shelf.find(name=name)


def test_nothing_outside_the_workspace_is_read(shelf: Shelf, tmp_path: Path) -> None:
    make_clip(tmp_path / "outside" / "tokenizer")
    shutil.copytree(tmp_path / "outside", shelf.workspace.models / "inside")
    (shelf.workspace.models / "link").symlink_to(tmp_path / "outside")
    assert shelf.find(name="models/inside")[0] == "models/inside/tokenizer"
    for name in ("models/link", str(tmp_path / "outside"), "../outside"):
        with pytest.raises(TokenizerUnusable):
            shelf.find(name=name)


def test_every_preset_names_a_model_and_clip_is_read_to_77_tokens(shelf: Shelf) -> None:
    limits = {}
    for name in presets.names():
        model = CaptionReader.of_preset(name)
        assert model.name is not None
        for folder in ("tokenizer", "tokenizer_2", "tokenizer_3"):
            make_t5(shelf.snapshot("/".join(model.name.split("/")[:2])) / folder)
        found = find_caption_tokenizer(model, ModelPaths(workspace=shelf.workspace), shelf.hub)
        limits[name] = found.limit
    assert {name: limits[name] for name in ("sd15", "sdxl", "sd35-large", "flux-dev", "flex2", "wan22")} == {
        "sd15": 77,
        "sdxl": 77,
        "sd35-large": 256,
        "flux-dev": 512,
        "flex2": 512,
        "wan22": 512,
    }
    with pytest.raises(InvalidInput, match="did you mean 'sdxl'"):
        CaptionReader.of_preset("sdxll")


def test_captions_that_are_cut_are_named(shelf: Shelf) -> None:
    make_clip(shelf.workspace.models / "mine" / "tokenizer")
    tokenizer = find_caption_tokenizer(
        CaptionReader(name="models/mine", arch="sdxl"), ModelPaths(workspace=shelf.workspace), shelf.hub
    )
    captions = {"a.png": "a a", "b.png": "a " * 75, "c.png": "a " * 76, "d.png": "[trigger], a a"}

    figures = caption_statistics(captions, "a", tokenizer)

    assert figures is not None
    assert figures.tokens is not None
    tokens = figures.tokens
    # With the two tokens that begin and end a text; the trigger word is filled in.
    assert (tokens.least, tokens.median, tokens.most, tokens.limit) == (4, 41.5, 78, 77)
    assert (tokens.cut, tokens.cut_count) == (["c.png"], 1)
    assert figures.words_max == 76
    plain = caption_statistics(captions, "a")
    assert plain is not None
    assert plain.tokens is None


def test_a_caption_of_a_megabyte_is_counted_soon(shelf: Shelf) -> None:
    make_clip(shelf.workspace.models / "mine" / "tokenizer")
    tokenizer = find_caption_tokenizer(
        CaptionReader(name="models/mine", arch="sdxl"), ModelPaths(workspace=shelf.workspace), shelf.hub
    )
    counted: list[int] = []

    def count(text: str) -> int:
        counted.append(len(text))
        return tokenizer.count(text)

    figures = caption_statistics(
        {"a.png": "ab" * 500_000}, None, type(tokenizer)(name="x", limit=77, count=count)
    )
    assert figures is not None
    assert figures.tokens is not None
    assert figures.tokens.cut == ["a.png"]
    assert max(counted) <= 20_000
