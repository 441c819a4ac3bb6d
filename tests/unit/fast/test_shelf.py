from __future__ import annotations

import dataclasses
import errno
import os
from pathlib import Path

import pytest

from lorapod.fast.building.shelf import READY, EnvironmentShelf, Prepared, Recipe


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    (tmp_path / "lock.txt").write_text("a==1\n")
    return Recipe(lock=tmp_path / "lock.txt", backend=tmp_path / "Backend", environments=tmp_path / "envs")


@pytest.fixture
def shelf(recipe: Recipe) -> EnvironmentShelf:
    return EnvironmentShelf(recipe)


def built(shelf: EnvironmentShelf) -> Prepared:
    folder = shelf.new_build()
    (folder / "bin").mkdir(parents=True)
    (folder / "bin/python").touch()
    return Prepared(folder=folder.name, took_s=12.5, packages=3)


def test_the_key_is_that_of_all_it_depends_on(recipe: Recipe, tmp_path: Path) -> None:
    keys = [recipe.key]
    keys.append(dataclasses.replace(recipe, backend=tmp_path / "elsewhere").key)
    keys.append(dataclasses.replace(recipe, environments=tmp_path / "elsewhere").key)
    recipe.lock.write_text("a==2\n")
    keys.append(recipe.key)
    recipe.lock.unlink()
    keys.append(recipe.key)
    assert len(set(keys)) == 5
    recipe.lock.write_text("a==1\n")
    assert recipe.key == keys[0]


def test_the_first_one_published_is_the_one_that_counts(shelf: EnvironmentShelf) -> None:
    first, second = built(shelf), built(shelf)
    assert shelf.ready() is None
    assert shelf.publish(first, instead=None) == first
    assert shelf.publish(second, instead=None) == first
    assert shelf.ready() == first
    assert shelf.publish(second, instead=first) == second
    assert shelf.ready() == second


def test_without_hard_links(shelf: EnvironmentShelf, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_source: Path, _target: Path) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    first = built(shelf)
    assert shelf.publish(first, instead=None) == first
    assert shelf.ready() == first
    assert [path.name for path in shelf.folder.iterdir() if path.is_file()] == [READY]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"folder": "build_x"}', '{"folder": 1, "extra": 2}'])
def test_a_damaged_note_is_none_and_is_replaced(shelf: EnvironmentShelf, content: str) -> None:
    one = built(shelf)
    (shelf.folder / READY).write_text(content)
    assert shelf.ready() is None
    assert shelf.publish(one, instead=None) == one
    assert shelf.ready() == one


def test_one_whose_folder_is_gone_is_none(shelf: EnvironmentShelf) -> None:
    one = built(shelf)
    shelf.publish(one, instead=None)
    shelf.python(one).unlink()
    assert shelf.ready() is None


def test_a_sweep_leaves_what_is_used_and_what_is_made(shelf: EnvironmentShelf) -> None:
    used, left, mine = built(shelf), built(shelf), built(shelf)
    shelf.publish(used, instead=None)
    shelf.sweep(shelf.folder / mine.folder)
    assert {path.name for path in shelf.folder.glob("build_*")} == {used.folder, mine.folder}
    assert not (shelf.folder / left.folder).exists()


def test_how_long_others_took(shelf: EnvironmentShelf, recipe: Recipe) -> None:
    assert shelf.former_duration_s() is None
    shelf.publish(built(shelf), instead=None)
    recipe.lock.write_text("b==1\n")
    (recipe.environments / "damaged").mkdir()
    (recipe.environments / "damaged" / READY).write_text("[]")
    assert EnvironmentShelf(recipe).former_duration_s() == 12.5
