"""The commands of the pages that ask RunPod's management API, against the stand-in of its specification."""

from __future__ import annotations

import shlex
import tomllib
from pathlib import Path

import pytest
from tests.documented import calls
from tests.integration.platform.conftest import RunCommand
from tests.servers.platform import PlatformStandIn

#: Commands that talk to RunPod's management API.
ACCOUNT = ("deploy", "doctor", "cost")
MADE_FIRST = "lorapod deploy --image YOU/lorapod:1 --preset sdxl"


def shown() -> list[str]:
    """Every such command once: first what makes the endpoint, and at the end what deletes it."""
    found = list(dict.fromkeys(words for _, words in calls() if words.split()[1] in ACCOUNT))
    assert MADE_FIRST in found
    return sorted(found, key=lambda words: (words != MADE_FIRST, "--destroy" in words))


def test_the_commands_for_an_account_work_one_after_another(
    call: RunCommand,
    account: PlatformStandIn,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    free_port_url: str,
) -> None:
    monkeypatch.setenv("BUCKET_SECRET_ACCESS_KEY", "made-up")
    monkeypatch.setenv("LORAPOD_URL", free_port_url)  # what `doctor --local` looks at
    for words in shown():
        if (folder / "lorapod.toml").exists():
            made = tomllib.loads((folder / "lorapod.toml").read_text("utf-8"))
            words = words.replace(" ID", f" {made['endpoint']}")  # noqa: PLW2901 - the page's name for it
        name, *options = shlex.split(words)[1:]
        # A doctor who finds something ends with 1, and here no worker is up.
        code = 1 if name == "doctor" and "--local" in options else 0
        call(name, *options, typed="y\ny\n", code=code)
    assert account.endpoints == {}
