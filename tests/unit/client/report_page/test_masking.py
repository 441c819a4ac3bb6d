from __future__ import annotations

import pytest

from lorapod.client.report_page.masking import masked, masked_text

SECRET = "a1b2c3d4e5f6g7h8i9j0"


@pytest.mark.parametrize(
    "text",
    [
        f"  hf_token: {SECRET}",
        f'  "api_key": "{SECRET}",',
        f"- password: {SECRET} and more",
        f"Loading with hf_{SECRET}",
        f"key rpa_{SECRET}.",
        f"Authorization: Bearer {SECRET}",
        f"https://user:{SECRET}@example.com/a.zip",
        f"https://example.com/a.zip?X-Amz-Signature={SECRET}&b=1",
        f"https://example.com/a.zip?b=1&token={SECRET}",
    ],
)
def test_what_looks_like_a_secret_is_masked(text: str) -> None:
    shown = masked_text(f"before\n{text}\nafter: 1")

    assert SECRET not in shown
    assert "***" in shown
    assert shown.startswith("before\n")
    assert shown.endswith("\nafter: 1")


@pytest.mark.parametrize(
    "text",
    [
        "trigger_word: mycat",
        "max_tokens: 75",
        "lr: 0.0001",
        "a photo of a key on a table, token ring",
        "https://example.com/a.zip?b=1",
        "sk-learn",
    ],
)
def test_other_texts_stay(text: str) -> None:
    assert masked_text(text) == text


def test_every_text_of_an_answer_is_masked() -> None:
    answer = {"a": [{"b": f"hf_{SECRET}"}], "c": 1, "d": None}

    assert masked(answer) == {"a": [{"b": "***"}], "c": 1, "d": None}
