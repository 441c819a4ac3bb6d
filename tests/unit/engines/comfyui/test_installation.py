from __future__ import annotations

import sys
from pathlib import Path

import pytest
from pydantic import ValidationError
from tests.servers.comfyui import VERSION
from tests.servers.comfyui_process import install

from lorapod.engines.comfyui.server import find_installation
from lorapod.settings import Settings


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "ComfyUI"
    install(root)
    return root


def test_it_is_found_where_the_setting_says(root: Path, tmp_path: Path) -> None:
    found, detail = find_installation(root, Path(sys.executable), tmp_path / "elsewhere")

    assert found is not None
    assert (found.root, found.version, found.entry) == (root, VERSION, root / "main.py")
    assert detail == f"ComfyUI {VERSION} at {root}."


def test_arguments_that_are_no_command_line_are_refused_at_the_start() -> None:
    with pytest.raises(ValidationError, match="is not a command line: no closing quotation"):
        Settings(comfyui_args="--base-directory '/data")


def test_a_setting_that_is_refused_does_not_show_its_password() -> None:
    with pytest.raises(ValidationError) as raised:
        Settings(comfyui_url="http://me:secret@comfyui")

    assert "comfyui_url" in str(raised.value)
    assert "secret" not in str(raised.value)


def test_it_is_found_in_the_workspace(root: Path) -> None:
    found, _ = find_installation(None, Path(sys.executable), root.parent)

    assert found is not None


def test_its_own_virtual_environment_runs_it(root: Path) -> None:
    python = root / "venv/bin/python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)

    found, _ = find_installation(root, None, root.parent)

    assert found is not None
    assert found.python == python


def test_what_is_missing_is_said(root: Path, tmp_path: Path) -> None:
    nothing, where = find_installation(tmp_path / "nowhere", None, tmp_path)
    no_python, python = find_installation(root, root / "nowhere", tmp_path)

    assert (nothing, no_python) == (None, None)
    assert "COMFYUI_PATH" in where
    assert "COMFYUI_PYTHON" in python


def test_a_version_that_cannot_be_read_is_none(root: Path) -> None:
    (root / "comfyui_version.py").unlink()

    found, detail = find_installation(root, Path(sys.executable), root.parent)

    assert found is not None
    assert found.version is None
    assert "unknown version" in detail
