from __future__ import annotations

from pathlib import Path

import pytest

from lorapod.model_paths import ModelPaths, cached_repository
from lorapod.workspace import Workspace


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    folder = tmp_path / "shelf"
    folder.mkdir()
    return folder


@pytest.fixture
def paths(tmp_path: Path, shelf: Path) -> ModelPaths:
    return ModelPaths(workspace=Workspace.create(tmp_path / "workspace"), folders=[shelf])


@pytest.mark.parametrize("text", ["tiny", "models/tiny", "./models/tiny", "/runpod-volume/models/tiny"])
def test_in_the_workspace_by_every_name(paths: ModelPaths, text: str) -> None:
    folder = paths.workspace.models / "tiny"
    folder.mkdir()
    assert paths.find(text) == paths.find(str(folder)) == folder


def test_in_a_folder_of_the_operators(paths: ModelPaths, shelf: Path) -> None:
    (shelf / "flux").mkdir()
    assert paths.find("flux") == paths.find(str(shelf / "flux")) == shelf / "flux"


def test_a_link_may_lead_from_one_to_the_other_but_no_further(
    paths: ModelPaths, tmp_path: Path, shelf: Path
) -> None:
    (shelf / "flux").mkdir()
    (tmp_path / "secret").mkdir()
    (paths.workspace.models / "good").symlink_to(shelf / "flux")
    (paths.workspace.models / "bad").symlink_to(tmp_path / "secret")
    (shelf / "worse").symlink_to(tmp_path / "secret")

    assert paths.find("models/good") == shelf / "flux"
    assert paths.find("models/bad") is None
    assert paths.find("worse") is None


@pytest.mark.parametrize("text", ["/etc/passwd", "../../etc", "~", "none", "a\0b", "x" * 5000])
def test_what_is_not_there_or_not_to_be_read(paths: ModelPaths, text: str) -> None:
    assert paths.find(text) is None


def test_where_a_download_lies() -> None:
    assert cached_repository(Path("/hub"), "owner/model") == Path("/hub/models--owner--model")
    assert cached_repository(Path("/hub"), "owner/model/file.safetensors") == Path(
        "/hub/models--owner--model"
    )
