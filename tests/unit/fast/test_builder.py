"""What a builder does that was frozen, taken for dead, and wakes."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from lorapod.fast.building.__main__ import Builder
from lorapod.fast.building.environments import BuiltEnvironment, EnvironmentSpec, EnvironmentStore
from lorapod.fast.building.turn import FOLDER


@pytest.fixture
def store(tmp_path: Path) -> EnvironmentStore:
    (tmp_path / "lock.txt").write_text("a==1\n")
    return EnvironmentStore(
        EnvironmentSpec(
            lock=tmp_path / "lock.txt", backend=tmp_path / "Backend", environments=tmp_path / "envs"
        )
    )


def fill(folder: Path) -> None:
    (folder / "bin").mkdir(parents=True)
    (folder / "bin/python").touch()


def take_over(store: EnvironmentStore) -> Path:
    """Another builder takes the turn away, and begins."""
    place = store.folder / FOLDER
    place.rename(store.folder / ".taken_away")
    place.mkdir()
    (place / "news.json").write_text(json.dumps({"token": "another", "beat": 1, "news": {}}))
    begun = store.folder / "build_another"
    fill(begun)
    return begun


def finish(store: EnvironmentStore, begun: Path) -> BuiltEnvironment:
    """The other builder publishes what it has begun, and leaves."""
    other = BuiltEnvironment(folder=begun.name, took_s=1.0, packages=3)
    store.publish(other, instead=None)
    (store.folder / FOLDER / "news.json").unlink()
    (store.folder / FOLDER).rmdir()
    return other


def run(store: EnvironmentStore, monkeypatch: pytest.MonkeyPatch) -> BuiltEnvironment:
    """Run a builder; the other one finishes while this one waits for its turn again."""
    monkeypatch.setattr(time, "sleep", lambda _: finish(store, store.folder / "build_another"))
    return Builder(store, lease_s=60.0, keep_free_bytes=0).run(again=False)


def test_what_it_made_is_not_published_for_the_next_one_sweeps_it_away(
    store: EnvironmentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Path] = []

    def freeze_at_the_end(_builder: Builder, folder: Path) -> int:
        fill(folder)
        made.append(folder)
        take_over(store)
        return 3

    monkeypatch.setattr(Builder, "_fill", freeze_at_the_end)
    assert run(store, monkeypatch).folder == "build_another"
    assert not made[0].exists()


def test_it_does_not_sweep_away_what_the_next_one_makes(
    store: EnvironmentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = store.folder / "build_left"
    fill(left)

    def freeze_before_the_sweep() -> Path:
        take_over(store)
        return store.folder / "build_mine"

    monkeypatch.setattr(store, "new_build", freeze_before_the_sweep)

    def fill_at_once(_builder: Builder, folder: Path) -> int:
        fill(folder)
        return 3

    monkeypatch.setattr(Builder, "_fill", fill_at_once)
    assert run(store, monkeypatch).folder == "build_another"
    assert (store.folder / "build_another/bin/python").exists()
