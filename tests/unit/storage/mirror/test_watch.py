from __future__ import annotations

import threading
from pathlib import Path

import pytest
from watchdog.observers.api import BaseObserver

from lorapod.storage.mirror import watch

SOON_S = 10.0


@pytest.mark.parametrize("name", ["cat.safetensors", "samples/1.png"])
def test_a_new_artifact_wakes(tmp_path: Path, name: str) -> None:
    wake = threading.Event()
    with watch.watching(tmp_path / "run", wake):
        path = tmp_path / "run" / name
        path.parent.mkdir(exist_ok=True)
        staged = path.with_name(".staged")
        staged.write_bytes(b"x")
        staged.rename(path)
        assert wake.wait(SOON_S)


def test_what_is_not_sent_wakes_nobody(tmp_path: Path) -> None:
    wake = threading.Event()
    with watch.watching(tmp_path, wake):
        for name in ("loss_log.db", "loss_log.db-wal", "config.yaml", "train.log"):
            (tmp_path / name).write_bytes(b"x")
        assert not wake.wait(0.3)
        (tmp_path / "cat.safetensors").write_bytes(b"x")
        assert wake.wait(SOON_S)


def test_a_system_without_events_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: BaseObserver) -> None:
        raise OSError("inotify watch limit reached")

    monkeypatch.setattr(BaseObserver, "start", refuse)
    with watch.watching(tmp_path, threading.Event()):
        assert tmp_path.exists()
