from __future__ import annotations

import json
import logging
import time
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from lorapod.journal import JournalFormatter
from lorapod.safety.redaction import Redactor
from lorapod.settings import Settings

SECRET = 'pl"anted/secret+value\\7f3a'


@pytest.mark.parametrize("form", [SECRET, quote(SECRET, safe=""), json.dumps(SECRET), repr(SECRET)])
def test_a_secret_in_every_form(form: str) -> None:
    masked = Redactor([SECRET]).text(f"before {form} after")
    assert "planted" not in masked.replace('"', "")
    assert masked.startswith("before ")
    assert masked.endswith(" after")


@given(st.text(min_size=8), st.text(), st.text())
def test_any_secret_in_any_text(secret: str, before: str, after: str) -> None:
    if secret not in "*" * len(secret):
        assert secret not in Redactor([secret]).values(before + secret + after).replace("***", "\0\0\0")


def test_the_password_of_an_address_alone() -> None:
    redactor = Redactor(["redis://user:planted-password@host:6379/0"])
    assert redactor.text("wrong password planted-password") == "wrong password ***"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("at https://user:pw@host/a", "at https://***@host/a"),
        ("https://h/a?X-Amz-Signature=abc&x=1", "https://h/a?X-Amz-Signature=***&x=1"),
        ("https://h/a?x=1&token=e.y.J#f", "https://h/a?x=1&token=***#f"),
        ("Authorization: Bearer abcdefgh123", "Authorization: Bearer ***"),
        ("https://h/a@b?tokens=1", "https://h/a@b?tokens=1"),
        ("a bearer of bad news", "a bearer of bad news"),
        ("mail me: me@example.com", "mail me: me@example.com"),
    ],
)
def test_credentials_in_addresses(text: str, masked: str) -> None:
    assert Redactor().text(text) == masked


def test_short_values_are_no_secrets() -> None:
    assert Redactor(["true", "", "guest"]).text("true guest") == "true guest"


def test_answers_keep_their_addresses_and_their_files() -> None:
    answer = {
        "url": "https://h/a?X-Amz-Signature=abc",
        "data": SECRET,
        "details": [{"error": SECRET}],
        "size_bytes": 1,
    }
    assert Redactor([SECRET]).answer(answer) == {**answer, "details": [{"error": "***"}]}


def test_a_large_answer_costs_little() -> None:
    answer = {"data": "A" * 18_000_000, "text": "a line of a log\n" * 60_000}
    redactor = Redactor([f"planted-{number}-secret" for number in range(10)])
    began = time.process_time()
    redactor.answer(answer)
    assert time.process_time() - began < 1


def test_the_journal() -> None:
    formatter = JournalFormatter(Redactor([SECRET]))
    try:
        raise ValueError(SECRET)
    except ValueError as error:
        record = logging.LogRecord("lorapod", 20, "", 1, "got %s", (SECRET,), (ValueError, error, None))
    record.url = "https://h/a?token=abc"
    record.inner = {"secret": [SECRET, 1]}
    record.object = SecretStr("x")
    line = formatter.format(record)
    assert "planted" not in line.replace("\\", "").replace('"', "")
    assert json.loads(line)["url"] == "https://h/a?token=***"
    assert json.loads(line)["inner"] == {"secret": ["***", 1]}


def test_every_secret_setting_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = [name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)]
    assert {"hf_token", "state_url"} <= set(secrets)
    for name in secrets:
        monkeypatch.setenv(name.upper(), f"planted-{name}")
    monkeypatch.setenv("RUNPOD_AI_API_KEY", "planted-runpod")
    monkeypatch.setenv("KEYBOARD", "not-secret")
    values = Settings().secret_values()
    assert {f"planted-{name}" for name in secrets} | {"planted-runpod"} <= values
    assert "not-secret" not in values


def test_a_jobs_secrets_are_masked_while_it_runs() -> None:
    redactor = Redactor(["planted-of-the-worker"])
    text = "planted-of-the-worker, planted-of-a-job"
    with redactor.holding(["planted-of-a-job"]):
        with redactor.holding({"planted-of-a-job", "planted-of-the-worker"}):
            assert redactor.text(text) == "***, ***"
        assert redactor.answer({"a": text}) == {"a": "***, ***"}
    assert redactor.text(text) == "***, planted-of-a-job"
    with redactor.holding([]):
        assert redactor.text(text) == "***, planted-of-a-job"
