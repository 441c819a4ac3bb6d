from __future__ import annotations

import dataclasses
import errno
import os
from pathlib import Path

import pytest

from lorapod.fast.building.environments import READY, BuiltEnvironment, EnvironmentSpec, EnvironmentStore


@pytest.fixture
def spec(tmp_path: Path) -> EnvironmentSpec:
    (tmp_path / "lock.txt").write_text("a==1\n")
    return EnvironmentSpec(
        lock=tmp_path / "lock.txt", backend=tmp_path / "Backend", environments=tmp_path / "envs"
    )


@pytest.fixture
def store(spec: EnvironmentSpec) -> EnvironmentStore:
    return EnvironmentStore(spec)


def built(store: EnvironmentStore) -> BuiltEnvironment:
    folder = store.new_build()
    (folder / "bin").mkdir(parents=True)
    (folder / "bin/python").touch()
    return BuiltEnvironment(folder=folder.name, took_s=12.5, packages=3)


def test_the_key_is_that_of_all_it_depends_on(spec: EnvironmentSpec, tmp_path: Path) -> None:
    keys = [spec.key]
    keys.append(dataclasses.replace(spec, backend=tmp_path / "elsewhere").key)
    keys.append(dataclasses.replace(spec, environments=tmp_path / "elsewhere").key)
    spec.lock.write_text("a==2\n")
    keys.append(spec.key)
    spec.lock.unlink()
    keys.append(spec.key)
    assert len(set(keys)) == 5
    spec.lock.write_text("a==1\n")
    assert spec.key == keys[0]


def test_the_first_one_published_is_the_one_that_counts(store: EnvironmentStore) -> None:
    first, second = built(store), built(store)
    assert store.ready() is None
    assert store.publish(first, instead=None) == first
    assert store.publish(second, instead=None) == first
    assert store.ready() == first
    assert store.publish(second, instead=first) == second
    assert store.ready() == second


def test_without_hard_links(store: EnvironmentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_source: Path, _target: Path) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    first = built(store)
    assert store.publish(first, instead=None) == first
    assert store.ready() == first
    assert [path.name for path in store.folder.iterdir() if path.is_file()] == [READY]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"folder": "build_x"}', '{"folder": 1, "extra": 2}'])
def test_a_damaged_note_is_none_and_is_replaced(store: EnvironmentStore, content: str) -> None:
    one = built(store)
    (store.folder / READY).write_text(content)
    assert store.ready() is None
    assert store.publish(one, instead=None) == one
    assert store.ready() == one


def test_one_whose_folder_is_gone_is_none(store: EnvironmentStore) -> None:
    one = built(store)
    store.publish(one, instead=None)
    store.python(one).unlink()
    assert store.ready() is None


def test_a_sweep_leaves_what_is_used_and_what_was_begun_since(store: EnvironmentStore) -> None:
    used, left = built(store), built(store)
    store.publish(used, instead=None)
    seen = store.left_builds()
    mine = built(store)
    store.sweep(seen)
    assert {path.name for path in store.folder.glob("build_*")} == {used.folder, mine.folder}
    assert not (store.folder / left.folder).exists()


def test_how_long_others_took(store: EnvironmentStore, spec: EnvironmentSpec) -> None:
    assert store.former_duration_s() is None
    store.publish(built(store), instead=None)
    spec.lock.write_text("b==1\n")
    (spec.environments / "damaged").mkdir()
    (spec.environments / "damaged" / READY).write_text("[]")
    assert EnvironmentStore(spec).former_duration_s() == 12.5
