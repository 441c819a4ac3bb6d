"""Captions on their way to the dataset."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lorapod.captioners.ledger import CaptionLedger
from lorapod.captioners.writing import clean_caption, sweep, write_caption

#: Captions images as a captioning does, for ever: the file first, then the note of it.
CAPTIONS = """
import itertools, sys
from pathlib import Path
from lorapod.captioners.ledger import CaptionLedger
from lorapod.captioners.writing import write_caption
folder, ledger_path, overwrite = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "all"
with CaptionLedger(ledger_path) as ledger:
    print("begun", flush=True)
    for number in itertools.count():
        name = f"{number % 400}.png"
        if write_caption(folder / f"{number % 400}.txt", "a cat, " * 500, overwrite=overwrite):
            ledger.add(name)
"""


@pytest.mark.parametrize(
    ("text", "caption"),
    [
        (" a cat\n\non a\ttable ", "a cat on a table"),
        ('"a cat"', "a cat"),
        ("\u201ca cat\u201d", "a cat"),
        ("'twas a cat", "'twas a cat"),
        ("<think>what is it?</think>\na cat", "a cat"),
        ("a\0cat", "acat"),
        ("\n \n", ""),
        ("a \ud800 cat", "a ? cat"),
    ],
)
def test_what_a_model_answers_becomes_one_line(text: str, caption: str) -> None:
    assert clean_caption(text) == caption


def test_a_caption_that_is_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "1.txt"
    assert write_caption(path, "a cat", overwrite=False)
    assert not write_caption(path, "a dog", overwrite=False)
    assert path.read_text() == "a cat"
    assert write_caption(path, "a dog", overwrite=True)
    assert path.read_text() == "a dog"
    assert [one.name for one in tmp_path.iterdir()] == ["1.txt"]


def test_an_empty_caption_is_none(tmp_path: Path) -> None:
    path = tmp_path / "1.txt"
    path.write_text(" \n")
    assert write_caption(path, "a cat", overwrite=False)
    assert path.read_text() == "a cat"


def test_one_that_appears_meanwhile_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, link = tmp_path / "1.txt", Path.hardlink_to

    def late(self: Path, target: Path) -> None:
        self.write_text("mine")
        link(self, target)

    monkeypatch.setattr(Path, "hardlink_to", late)
    assert not write_caption(path, "a cat", overwrite=False)
    assert path.read_text() == "mine"
    assert [one.name for one in tmp_path.iterdir()] == ["1.txt"]


def test_a_volume_without_hard_links_takes_captions_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    assert write_caption(tmp_path / "1.txt", "a cat", overwrite=False)
    assert not write_caption(tmp_path / "1.txt", "a dog", overwrite=False)
    assert (tmp_path / "1.txt").read_text() == "a cat"
    assert [one.name for one in tmp_path.iterdir()] == ["1.txt"]


def test_a_ledger_forgets_nothing_but_what_was_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "process" / "captioned.jsonl"
    with CaptionLedger(path) as ledger:
        ledger.add("a.png")
        ledger.add("caf\u00e9\n.png")
    with path.open("a") as file:
        file.write('"cut o')
    with CaptionLedger(path) as ledger:
        assert ledger.names == {"a.png", "caf\u00e9\n.png"}
        ledger.add("c.png")
    assert CaptionLedger(path).names == {"a.png", "caf\u00e9\n.png", "c.png"}


@pytest.mark.parametrize("overwrite", ["missing", "all"])
def test_a_kill_at_any_moment_leaves_whole_captions_and_no_other_file(tmp_path: Path, overwrite: str) -> None:
    folder, ledger = tmp_path / "cats", tmp_path / "captioned.jsonl"
    folder.mkdir()
    (folder / "7.txt").write_text("mine")
    (folder / ".hidden.tmp").write_text("not ours")
    rng = random.Random(11)
    texts: dict[str, str] = {}
    for _ in range(5):
        child = subprocess.Popen(
            [sys.executable, "-c", CAPTIONS, str(folder), str(ledger), overwrite], stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        assert child.stdout.readline() == b"begun\n"
        time.sleep(rng.uniform(0.005, 0.1))
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        sweep(folder, ".txt")
        texts = {path.name: path.read_text() for path in folder.glob("*.txt")}
        mine = texts.pop("7.txt")
        assert mine == "mine" or (overwrite == "all" and mine == "a cat, " * 500)
        assert set(texts.values()) <= {"a cat, " * 500}
        assert {path.name for path in folder.iterdir() if path.suffix != ".txt"} == {".hidden.tmp"}
        # What is noted is there; of what is there, one caption at most is not noted yet.
        noted = {name.replace(".png", ".txt") for name in CaptionLedger(ledger).names} - {"7.txt"}
        assert noted <= texts.keys()
        assert len(texts.keys() - noted) <= 5
    assert texts, "no child lived until its first caption"
