"""The tree of the client's errors."""

from __future__ import annotations

import importlib
import pickle
import pkgutil
import re
from collections.abc import Iterator

import pytest

import lorapod.client
from lorapod.client import LocalFileError, LocalFileNotFound, LorapodError, errors


def below(kind: type[LorapodError]) -> Iterator[type[LorapodError]]:
    for each in kind.__subclasses__():
        yield each
        yield from below(each)


@pytest.fixture(scope="module", autouse=True)
def all_modules() -> None:
    for module in pkgutil.walk_packages(lorapod.client.__path__, "lorapod.client."):
        if not module.name.startswith("lorapod.client.assistant"):
            importlib.import_module(module.name)


def test_the_whole_tree_is_drawn_in_the_documentation() -> None:
    kinds = {each for each in below(LorapodError) if each.__module__.startswith("lorapod.client")}
    assert len(kinds) > 20
    text = errors.__doc__ or ""
    assert {each.__name__ for each in kinds if not re.search(rf"\b{each.__name__}\b", text)} == set()
    drawn = re.findall(r"^([│ ]*[├└]── )(\w+)", text, re.MULTILINE)
    above: dict[int, str] = {0: "LorapodError"}
    for branch, name in drawn:
        depth = len(branch) // 4
        above[depth] = name
        (kind,) = [each for each in kinds if each.__name__ == name]
        assert above[depth - 1] in {base.__name__ for base in kind.__mro__[1:]}, name


def test_each_says_by_a_code_what_it_is() -> None:
    assert LorapodError("x").code == "client_error"
    own = {each.default_code for each in below(LorapodError)}
    assert all(re.fullmatch(r"[a-z_]+", code) for code in own)


def test_a_local_file_is_an_error_of_the_system_too() -> None:
    made = LocalFileError.of(FileNotFoundError(2, "No such file or directory", "/no/such/file"))
    assert type(made) is LocalFileNotFound
    assert isinstance(made, FileNotFoundError)
    assert (str(made), made.filename) == ("/no/such/file: No such file or directory.", "/no/such/file")
    assert isinstance(LocalFileError.of(PermissionError(13, "Permission denied", "x")), OSError)


@pytest.mark.parametrize("kind", [LorapodError, LocalFileError, errors.Busy, errors.WaitTimeout])
def test_an_error_may_cross_a_process(kind: type[LorapodError]) -> None:
    sent = pickle.loads(pickle.dumps(kind("It broke.")))  # noqa: S301 -- its own
    assert (type(sent), sent.message, sent.code) == (kind, "It broke.", kind.default_code)
