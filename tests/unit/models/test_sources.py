from __future__ import annotations

import pytest

from lorapod.errors import InvalidInput, UnsafeUrl
from lorapod.models.sources import HubFile, WebFile, parse_source


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hf://me/lora/a.safetensors", HubFile(repo_id="me/lora", path="a.safetensors")),
        ("hf://me/lora/sub/a b.safetensors", HubFile(repo_id="me/lora", path="sub/a b.safetensors")),
        ("hf://me/lora/a.safetensors@v1", HubFile(repo_id="me/lora", path="a.safetensors", revision="v1")),
        (
            "hf://me/lora@refs/pr/1/a.safetensors",
            HubFile(repo_id="me/lora", path="pr/1/a.safetensors", revision="refs"),
        ),
        ("hf://me/lora@v1/a.safetensors", HubFile(repo_id="me/lora", path="a.safetensors", revision="v1")),
    ],
)
def test_files_of_the_hub(text: str, expected: HubFile) -> None:
    assert parse_source(text, allow_private=False) == expected


def test_what_is_asked_of_the_hub_is_quoted() -> None:
    file = HubFile(repo_id="me/lora", path="sub/a b#1.safetensors", revision="refs/pr/1")
    expected = "https://hub/me/lora/resolve/refs%2Fpr%2F1/sub/a%20b%231.safetensors"
    assert file.address("https://hub", file.revision) == expected
    assert file.shown == "hf://me/lora/sub/a b#1.safetensors@refs/pr/1"
    assert file.marked == "hf://me/lora@refs/pr/1/sub/a b#1.safetensors"


def test_addresses_are_shown_without_what_is_secret_in_them() -> None:
    source = parse_source(
        "https://me:word@example.org/a/My%20LoRA.safetensors?token=x#y", allow_private=False
    )
    assert isinstance(source, WebFile)
    assert source.shown == "https://example.org/a/My%20LoRA.safetensors"
    assert source.file_name == "My LoRA.safetensors"
    assert WebFile(address="https://civitai.com/api/download/models/123").file_name is None


@pytest.mark.parametrize(
    "text",
    [
        "hf://",
        "hf://me",
        "hf://me/lora",
        "hf://me/lora/",
        "hf://me/a@b/c@d",
        "a.safetensors",
        "/etc/passwd",
        "",
    ],
)
def test_what_is_neither(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_source(text, allow_private=False)


@pytest.mark.parametrize(
    "text", ["file:///etc/passwd", "http://127.0.0.1/x", "ftp://x/y", "https://10.0.0.1/x"]
)
def test_what_may_not_be_asked(text: str) -> None:
    with pytest.raises(UnsafeUrl):
        parse_source(text, allow_private=False)
