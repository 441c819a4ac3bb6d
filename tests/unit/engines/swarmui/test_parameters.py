from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pydantic import SecretStr

from lorapod.engines.port import Generation, LoraUse
from lorapod.engines.swarmui import parameters as module
from lorapod.engines.swarmui.inventory import SwarmInventory
from lorapod.engines.swarmui.parameters import alone, batch_size, check, parameters, seed_of, unknown
from lorapod.errors import InvalidInput, TooLarge, Unsupported


def generation(**fields: Any) -> Generation:
    plain = {"process_id": "generate_1", "seed": 7, "folder": Path("/out"), "scratch": Path("/scratch")}
    return Generation(**{**plain, **fields})


def test_every_field_has_its_parameter(tmp_path: Path) -> None:
    picture = tmp_path / "in"
    Image.new("RGB", (4, 4)).save(picture, "JPEG")
    asked = generation(
        prompt="a cat",
        negative_prompt="a dog",
        model="tiny",
        width=64,
        height=32,
        steps=3,
        guidance_scale=4.5,
        strength=0.4,
        length=25,
        image=picture,
        loras=[LoraUse(path=Path("/a"), name="a", weight=0.5), LoraUse(path=Path("/b"), name="b", weight=-1)],
        params={"sampler": "euler", "cfg_rescale": 1},
    )

    made = parameters(asked, ["lorapod/a.safetensors", "lorapod/b.safetensors"])

    image = base64.b64encode(picture.read_bytes()).decode()
    assert made == {
        "prompt": "a cat",
        "negativeprompt": "a dog",
        "model": "tiny",
        "width": 64,
        "height": 32,
        "steps": 3,
        "cfgscale": 4.5,
        "initimagecreativity": 0.4,
        "videoframes": 25,
        "textvideoframes": 25,
        "seed": 7,
        "initimage": f"data:image/jpeg;base64,{image}",
        "loras": ["lorapod/a.safetensors", "lorapod/b.safetensors"],
        "loraweights": ["0.5", "-1"],
        "sampler": "euler",
        "cfg_rescale": 1,
    }


def test_what_is_left_open_is_left_to_swarmui() -> None:
    assert parameters(generation(), []) == {"prompt": "", "seed": 7}
    assert parameters(generation(params={"prompt": "mine"}), [])["prompt"] == "mine"


@pytest.mark.parametrize(
    "path", ["models/checkpoints/a/x.safetensors", "/workspace/models/unet/a/x.safetensors"]
)
def test_a_model_of_the_workspace_has_its_name_at_swarmui(path: str) -> None:
    assert parameters(generation(model=path), [])["model"] == "a/x.safetensors"
    assert parameters(generation(model="Official/models/x/y"), [])["model"] == "Official/models/x/y"


def test_a_picture_larger_than_a_request_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = tmp_path / "in.png"
    Image.new("RGB", (4, 4)).save(picture)
    monkeypatch.setattr(module, "IMAGE_MAX_BYTES", 10)

    with pytest.raises(TooLarge, match="input image"):
        parameters(generation(image=picture), [])


@pytest.mark.parametrize(
    "fields",
    [
        {"params": {"session_id": "x"}},
        {"params": {"Session ID": "x"}},
        {"params": {"images": 4}},
        {"steps": 4, "params": {"steps": 5}},
        {"guidance_scale": 4, "params": {"cfg_scale": 5}},
        {"params": {"cfgscale": 4, "CFG Scale": 5}},
        {"params": {"seed": 5}},
        {"params": {"steps": {"a": 1}}},
        {"loras": [LoraUse(path=Path("/a"), name="a")], "params": {"loras": ["b"]}},
        {"image": Path("/in.png"), "params": {"init_image": "data:"}},
    ],
)
def test_what_says_a_thing_twice_or_is_not_the_callers_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=r"params\."):
        check(generation(**fields))


@pytest.mark.parametrize("fields", [{"workflow": {}}, {"workflow_name": "x"}, {"config": {}}])
def test_what_other_engines_do_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(Unsupported, match="swarmui"):
        check(generation(**fields))


def test_a_key_that_goes_nowhere_is_a_warning() -> None:
    assert check(generation()) == []
    (warning,) = check(generation(comfy_org_api_key=SecretStr("secret")))
    assert "comfy_org_api_key" in warning
    assert "secret" not in warning


def test_metadata_of_the_callers_own_may_be_an_object() -> None:
    assert check(generation(params={"extra_metadata": {"note": "mine"}})) == []


def test_what_swarmui_leaves_out_or_takes_for_another_is_told() -> None:
    found = SwarmInventory(
        parameters=frozenset({"prompt", "model"}), models={"Stable-Diffusion": ["tiny-turbo.safetensors"]}
    )

    told = unknown({"prompt": "x", "model": "tiny", "stepz": 4}, found)

    assert told == [
        "SwarmUI does not know the parameter 'stepz': left out.",
        "SwarmUI has no model 'tiny' and takes 'tiny-turbo.safetensors' instead.",
    ]


class TestOnePictureAlone:
    def test_has_the_seed_that_it_would_have_among_the_others(self) -> None:
        assert alone({"seed": 7}, 2) == {"seed": 9}
        assert alone({"seed": 7, "batchsize": 4}, 2)["seed"] == 15

    def test_has_the_same_seed_where_none_is_counted(self) -> None:
        assert alone({"seed": 7, "No Seed Increment": True}, 2)["seed"] == 7

    def test_counts_the_seed_of_the_variation_where_there_is_one(self) -> None:
        asked = {"seed": 7, "variation_seed": 3, "variationseedstrength": 0.5}

        assert alone(asked, 2) == {**asked, "variation_seed": 5}
        assert alone({**asked, "variationseedstrength": 0}, 2)["seed"] == 9
        assert alone({**asked, "variation_seed": -1}, 2)["variation_seed"] == -1

    def test_its_seed_is_told_where_it_is_its_own(self) -> None:
        assert seed_of({"seed": 7}, 2) == 9
        assert seed_of({"seed": 7, "noseedincrement": "true"}, 2) == 7
        assert seed_of({"seed": 7, "batchsize": 2}, 1) is None

    def test_a_batch_is_what_the_parameters_say(self) -> None:
        assert [batch_size({"batch_size": value}) for value in (3, "2", 0, "x", None)] == [3, 2, 1, 1, 1]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"audio": "a.wav"}, "The engine swarmui takes no audio."),
        ({"video": "a.mp4"}, "The engine swarmui takes no video."),
        ({"named_inputs": "a.mp4"}, "a.mp4 is not an image"),
    ],
)
def test_files_that_it_has_no_use_for_are_refused(fields: dict[str, str], says: str, tmp_path: Path) -> None:
    [(name, file)] = fields.items()
    path = tmp_path / file
    path.write_bytes(b"\0\0\0\x20ftypisom")
    given: dict[str, Any] = {name: {file: path} if name == "named_inputs" else path}
    with pytest.raises(Unsupported, match=says):
        check(generation(**given))


def test_a_file_is_given_once(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    path.write_bytes(b"mask")
    with pytest.raises(InvalidInput, match="given twice"):
        check(generation(mask=path, params={"Mask Image": "x"}))
