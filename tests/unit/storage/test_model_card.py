from __future__ import annotations

import yaml

from lorapod.storage.model_card import lora_card


def test_the_hub_can_read_what_was_trained() -> None:
    card = lora_card(
        name="My <b>cat</b>",
        weights="cat.safetensors",
        base_model="someone/model",
        trigger_word='ohwx: "cat"\n---',
        samples=["samples/step 1 (2).png"],
    )
    _, head, body = card.split("---\n", 2)
    fields = yaml.safe_load(head)
    assert fields["base_model"] == "someone/model"
    assert fields["instance_prompt"] == 'ohwx: "cat"\n---'
    assert "lora" in fields["tags"]
    assert "# My b cat /b" in body
    assert "(samples/step%201%20%282%29.png)" in body


def test_what_is_not_known_is_left_out() -> None:
    card = lora_card(name="cat", weights="cat.safetensors")
    fields = yaml.safe_load(card.split("---\n", 2)[1])
    assert not {"base_model", "base_model_relation", "instance_prompt"} & set(fields)
