from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lorapod.installations import Installation
from lorapod.trainers.ai_toolkit import find
from lorapod.trainers.ai_toolkit.find import find_installation


@pytest.fixture(autouse=True)
def _no_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find, "IMAGE_ROOT", tmp_path / "app" / "ai-toolkit")


def installed(root: Path, *, version: str = 'VERSION = "0.12.26"\n', venv: str | None = None) -> Path:
    root.mkdir(parents=True)
    (root / "run.py").write_text("raise SystemExit('never run')\n")
    (root / "version.py").write_text(f"{version}raise SystemExit('never imported')\n")
    if venv is not None:
        python = root / venv / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.symlink_to(sys.executable)
    return root


def found(path: Path | None, python: Path | None, workspace: Path) -> Installation:
    installation, detail = find_installation(path, python, workspace)
    assert installation is not None, detail
    return installation


def test_the_path_that_is_set(tmp_path: Path) -> None:
    root = installed(tmp_path / "here")
    installation = found(root, None, tmp_path)
    assert installation.root == root
    assert installation.entry == root / "run.py"
    assert installation.version == "0.12.26"
    assert installation.python == Path(sys.executable)


def test_a_path_that_is_set_is_the_only_one_looked_at(tmp_path: Path) -> None:
    installed(tmp_path / "ai-toolkit")
    installation, detail = find_installation(tmp_path / "elsewhere", None, tmp_path)
    assert installation is None
    assert "elsewhere" in detail
    assert "AI_TOOLKIT_PATH" in detail


def test_the_images_own_place_before_the_workspace(tmp_path: Path) -> None:
    on_volume = installed(tmp_path / "ai-toolkit")
    assert found(None, None, tmp_path).root == on_volume
    in_image = installed(find.IMAGE_ROOT)
    assert found(None, None, tmp_path).root == in_image


@pytest.mark.parametrize("venv", ["venv", ".venv"])
def test_its_own_virtual_environment_link_and_all(tmp_path: Path, venv: str) -> None:
    root = installed(tmp_path / "here", venv=venv)
    assert found(root, None, tmp_path).python == root / venv / "bin" / "python"


def test_the_python_that_is_set(tmp_path: Path) -> None:
    root = installed(tmp_path / "here", venv="venv")
    assert found(root, Path(sys.executable), tmp_path).python == Path(sys.executable)


def test_a_python_that_is_not_there(tmp_path: Path) -> None:
    installation, detail = find_installation(installed(tmp_path / "here"), tmp_path / "python", tmp_path)
    assert installation is None
    assert "AI_TOOLKIT_PYTHON" in detail


def test_nothing_anywhere(tmp_path: Path) -> None:
    installation, detail = find_installation(None, None, tmp_path)
    assert installation is None
    assert "no run.py" in detail


@pytest.mark.parametrize("text", ["", "VERSION = 3\n", "# VERSION\n", "version = '1'\n"])
def test_a_version_that_is_not_said(tmp_path: Path, text: str) -> None:
    assert found(installed(tmp_path / "here", version=text), None, tmp_path).version is None
