from __future__ import annotations

import pytest
import yaml
from huggingface_hub import ModelCard

from lorapod.storage.model_card import CardSample, TrainedModel, is_untouched, lora_card

CAT = TrainedModel(name="cat")


def test_the_hub_can_read_what_was_trained() -> None:
    model = TrainedModel(name="My <b>cat</b>", base_model="someone/model", trigger_word='ohwx: "cat"\n---')
    card = lora_card(
        model,
        repo_id="me/cats",
        weights="cat/checkpoints/cat.safetensors",
        step=1000,
        samples=[
            CardSample(path="cat/samples/1.jpg", prompt="a cat"),
            CardSample(path="cat/samples/2.jpg"),
        ],
    )
    _, head, body = card.split("---\n", 2)
    fields = yaml.safe_load(head)
    assert fields["base_model"] == "someone/model"
    assert fields["instance_prompt"] == 'ohwx: "cat"\n---'
    assert fields["pipeline_tag"] == "text-to-image"
    assert "lora" in fields["tags"]
    assert fields["widget"] == [
        {"text": "a cat", "output": {"url": "cat/samples/1.jpg"}},
        {"text": "-", "output": {"url": "cat/samples/2.jpg"}},
    ]
    assert "license" not in fields
    assert "# My b cat /b" in body
    assert "A LoRA trained on `someone/model` for 1000 steps." in body
    assert "load_lora_weights('me/cats', weight_name='cat/checkpoints/cat.safetensors')" in body


def test_huggingfaces_own_reader_takes_it() -> None:
    model = TrainedModel(name="cat", base_model="someone/model", trigger_word="ohwx")
    card = ModelCard(lora_card(model, repo_id="me/cats", weights="cat.safetensors"))
    fields = vars(card.data)
    assert (fields["base_model"], fields["instance_prompt"]) == ("someone/model", "ohwx")


def test_what_is_not_known_is_left_out() -> None:
    card = lora_card(CAT, repo_id="me/cats", weights="cat.safetensors")
    fields = yaml.safe_load(card.split("---\n", 2)[1])
    assert not {"base_model", "base_model_relation", "instance_prompt", "widget"} & set(fields)
    assert "A LoRA trained." in card


def test_videos_are_known() -> None:
    card = lora_card(
        CAT, repo_id="me/cats", weights="w.safetensors", samples=[CardSample(path="samples/1.mp4")]
    )
    assert yaml.safe_load(card.split("---\n", 2)[1])["pipeline_tag"] == "text-to-video"


@pytest.mark.parametrize(
    "base", [None, "/workspace/models/sdxl", "models/sdxl.safetensors", "sdxl", "a/b/c", "../up", "C:/x y"]
)
def test_a_file_is_no_base_model_of_the_hubs(base: str | None) -> None:
    assert TrainedModel(name="cat", base_model=base).hub_base is None


def test_an_edited_card_is_known() -> None:
    card = lora_card(CAT, repo_id="me/cats", weights="cat.safetensors")
    assert is_untouched(card)
    assert is_untouched(card.rstrip("\n"))
    assert not is_untouched(card.replace("# cat", "# My cat"))
    assert not is_untouched(card + "More of it.\n")
    assert not is_untouched("")
    assert not is_untouched("# A card of somebody's own\n")
