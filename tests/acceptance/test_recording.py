"""The terminal recording of the documentation, made again: its commands still do what it shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.error_log import error_log

pytest.importorskip("diffusers", reason="needs the `builtin` extra")

from recording_parts.cast import Cast
from terminal_recording import COMMANDS, NAME, record, write

pytestmark = [pytest.mark.acceptance, pytest.mark.torch, pytest.mark.slow, pytest.mark.timeout(300)]

COMMITTED = Path(__file__).parents[2] / "docs" / "pictures"
_STEPS = 2


def comparable(cast: Cast) -> list[str]:
    """The commands without what differs from one recording to the next."""
    return [
        re.sub(r"--steps \d+", "--steps N", re.sub(r"train_[0-9a-f]{12}", "train_ID", command))
        for command in cast.commands
    ]


def test_the_recording_can_be_made_again_and_shows_the_same_commands(tmp_path: Path) -> None:
    folder = tmp_path / "loras"
    folder.mkdir()
    error_log.watch(folder / "logs")
    cast = record(folder, steps=_STEPS)
    write(cast, tmp_path)

    committed = Cast.read(COMMITTED / f"{NAME}.cast")
    assert comparable(cast) == comparable(committed)
    assert len(cast.commands) == len(COMMANDS)
    # What a command reports first is in both, such as the steps of `run`.
    shown, shown_then = ("".join(event.text for event in one.events) for one in (cast, committed))
    for word in ("upload", "check", "train", "compare", "download", "report", "next", "image_000.png"):
        assert word in shown, word
        assert word in shown_then, word
    assert (tmp_path / f"{NAME}.svg").read_text("utf-8").startswith("<svg")
