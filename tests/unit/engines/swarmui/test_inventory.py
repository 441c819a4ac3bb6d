from __future__ import annotations

from lorapod.engines.swarmui.inventory import SwarmInventory, plain_name

INVENTORY = SwarmInventory.read(
    {
        "list": [{"id": "prompt"}, {"id": "cfgscale"}, {"id": "loraweights"}, "odd", {"name": "no id"}],
        "models": {
            "Stable-Diffusion": [
                ["Official/sd_xl_base.safetensors", None],
                ["my sd_xl_base [v2].safetensors", "x"],
            ],
            "LoRA": [["cats.safetensors", None], "odd", []],
            "odd": None,
        },
    }
)


def test_names_are_compared_as_swarmui_reads_them() -> None:
    assert plain_name("CFG Scale") == plain_name("cfg_scale") == "cfgscale"
    assert plain_name("Text2Video Frames") == "textvideoframes"


def test_parameters_that_it_would_leave_out_are_named() -> None:
    asked = ["prompt", "cfg_scale", "loraweights", "presets", "extra_metadata", "session_id", "stepz"]

    assert INVENTORY.unknown([*asked, "comfyrawworkflowinputdecimalx"]) == ["stepz"]


def test_where_its_list_is_not_known_nothing_is_called_unknown() -> None:
    assert SwarmInventory.read({"list": None}).unknown(["whatever"]) == []


def test_a_model_that_it_takes_for_another_is_named() -> None:
    assert INVENTORY.instead_of("Stable-Diffusion", "sd_xl") == "my sd_xl_base [v2].safetensors"


def test_the_very_model_is_no_other() -> None:
    for name in ("Official/sd_xl_base", "Official/sd_xl_base.safetensors", "my SD_XL_base[v2]"):
        assert INVENTORY.instead_of("Stable-Diffusion", name) is None


def test_a_model_of_that_name_in_a_folder_is_no_other() -> None:
    found = SwarmInventory(
        parameters=frozenset(), models={"Stable-Diffusion": ["Official/tiny.safetensors", "tiny-turbo"]}
    )

    assert found.instead_of("Stable-Diffusion", "turbo") == "tiny-turbo"
    assert (
        SwarmInventory(
            parameters=frozenset(), models={"Stable-Diffusion": ["Official/tiny.safetensors"]}
        ).instead_of("Stable-Diffusion", "tiny")
        is None
    )


def test_a_model_that_is_like_none_is_swarmuis_to_refuse() -> None:
    assert INVENTORY.instead_of("Stable-Diffusion", "flux") is None
    assert INVENTORY.instead_of("VAE", "flux") is None


def test_the_models_of_each_kind_are_read() -> None:
    assert INVENTORY.models["LoRA"] == ("cats.safetensors",)
    assert INVENTORY.models["odd"] == ()
