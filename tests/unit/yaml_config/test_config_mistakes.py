"""Mistakes that people make in YAML, and values that YAML does not read as they were meant."""

from __future__ import annotations

import pytest
import yaml

from lorapod.errors import InvalidInput
from lorapod.yaml_config.text import dump_config, parse_config


def refused(text: str) -> str:
    with pytest.raises(InvalidInput) as caught:
        parse_config(text)
    assert caught.value.details[0]["field"]
    return caught.value.message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('job: x\npath: "C:\\Users\\me"\n', "single quotes"),
        ('job: x\npath: "C:\\data\\cats"\n', "single quotes"),
        ('job: x\npath: "C:\\new\\table"\n', "single quotes"),
        ('job: x\nprompt: "50\\% off"\n', "double the backslash"),
        ("name: “my lora”\n", "straight quotes"),
        ("“name”: my lora\n", "straight quotes"),
        ("name: \u2018my lora\u2019\n", "straight quotes"),
        ("name: „my lora“\n", "straight quotes"),
        ("name: «my lora»\n", "straight quotes"),
        ("config:\n\tname: x\n", "spaces"),
        ('config:\n  name: "x\n  steps: 1\n', "line 2"),
        ('config:\n  name: "x\n  arch: "flux"\n', "line 2"),
        ("config:\n  name: 'it's mine'\n", "quote"),
        ("prompts:\n  - [trigger] in a field\n", "[trigger]"),
        ("prompt: a cat: sitting\n", "put the text in quotes"),
        ("trigger: @me\n", "put the text in quotes"),
        ("trigger: *me*\n", "in quotes"),
        ("trigger: %me\n", "put the text in quotes"),
        ("trigger: `me`\n", "put the text in quotes"),
        ("a:\n    b: 1\n  c: 2\n", "indented"),
    ],
)
def test_the_message_says_what_to_write(text: str, words: str) -> None:
    message = refused(text)
    assert words in message
    assert "line" in message or message.startswith("path: ")
    assert len(message) < 400


@pytest.mark.parametrize("text", ["a: x “quoted” y", "a: '“all of it”'", 'a: "it\u2019s"', "a: it\u2019s"])
def test_typographic_quotes_inside_text_are_text(text: str) -> None:
    assert parse_config(text)


@pytest.mark.parametrize(
    "word", ["yes", "no", "on", "off", "true", "1234", "0123", "1e3", "1_000", "2024-01-01", "1:30"]
)
@pytest.mark.parametrize("key", ["trigger_word", "name", "default_caption"])
def test_text_keys_keep_what_was_written(key: str, word: str) -> None:
    config = parse_config(f"config:\n  {key}: {word}\n")
    assert config == {"config": {key: word}}
    assert yaml.safe_load(dump_config(config)) == config


def test_prompts_too() -> None:
    assert parse_config("sample:\n  prompts: [yes, 1234, a cat]\n  samples:\n    - prompt: 42\n") == {
        "sample": {"prompts": ["yes", "1234", "a cat"], "samples": [{"prompt": "42"}]}
    }


@pytest.mark.parametrize("word", ["null", "~", ""])
def test_no_trigger_word_is_none(word: str) -> None:
    assert parse_config(f"trigger_word: {word}\nx: 1\n")["trigger_word"] is None


def test_other_keys_are_what_yaml_reads() -> None:
    assert parse_config("quantize: yes\nsteps: 1_000\nneg: false\n") == {
        "quantize": True,
        "steps": 1000,
        "neg": False,
    }
