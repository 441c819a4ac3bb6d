"""`lorapod.toml`, and the commands that read it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer

from lorapod.client.commands.session import Connection
from lorapod.client.project_file import ProjectFile, read_project, write_project

PROJECT = ProjectFile(
    endpoint="ep1", front_door="ep2", volume="vol1", data_center="EU-RO-1", deploy={"image": "me/x:1"}
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "lorapod.toml"

    write_project(path, PROJECT)

    assert read_project(path) == PROJECT
    assert [each.name for each in tmp_path.iterdir()] == ["lorapod.toml"]


def test_comments_and_other_tables_stay(tmp_path: Path) -> None:
    path = tmp_path / "lorapod.toml"
    path.write_text(
        '# mine\nendpoint = "old" # this one\nextra = 1\n\n[deploy]\nimage = "a"\n\n[other]\nx = 1\n'
    )

    write_project(path, PROJECT)

    assert read_project(path) == PROJECT
    text = path.read_text()
    assert "# mine" in text
    assert "# this one" in text
    assert "[other]\nx = 1" in text
    assert "extra = 1" in text


def test_what_is_gone_is_taken_out(tmp_path: Path) -> None:
    path = tmp_path / "lorapod.toml"
    write_project(path, PROJECT)

    write_project(path, ProjectFile(volume="vol1"))

    assert read_project(path) == ProjectFile(volume="vol1")


def test_a_folder_without_the_file_names_nothing(tmp_path: Path) -> None:
    assert read_project(tmp_path / "lorapod.toml") == ProjectFile()


class TestConnection:
    @pytest.fixture(autouse=True)
    def _in_a_folder_with_an_endpoint(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        write_project(tmp_path / "lorapod.toml", PROJECT)

    def test_the_endpoint_of_the_file_is_used(self) -> None:
        assert "v2/ep1" in Connection(api_key="rpa_x").client().url

    def test_a_named_endpoint_outranks_the_file(self) -> None:
        assert "v2/ep9" in Connection(endpoint_id="ep9", api_key="rpa_x").client().url
        assert Connection(url="http://127.0.0.1:1/v2/local").client().url == "http://127.0.0.1:1/v2/local"

    @pytest.mark.parametrize(
        ("named", "expected"),
        [
            ({}, "https://api.runpod.ai/v2/ep2"),
            ({"endpoint_id": "ep1"}, "https://api.runpod.ai/v2/ep2"),
            ({"endpoint_id": "ep9"}, None),
            ({"url": "http://127.0.0.1:1/v2/local"}, None),
            ({"front_door": "none"}, None),
            ({"front_door": "door7", "endpoint_id": "ep9"}, "https://api.runpod.ai/v2/door7"),
            (
                {"url": "http://127.0.0.1:1/v2/gpu", "front_door": "http://127.0.0.1:2/v2/door"},
                "http://127.0.0.1:2/v2/door",
            ),
        ],
    )
    def test_the_front_door_of_the_file_belongs_to_its_endpoint(
        self, named: dict[str, Any], expected: str | None
    ) -> None:
        assert Connection(api_key="rpa_x", **named).front_door_url() == expected

    def test_an_endpoint_that_is_named_needs_no_readable_file(self, tmp_path: Path) -> None:
        (tmp_path / "lorapod.toml").write_text("nonsense")

        assert "v2/ep9" in Connection(endpoint_id="ep9", api_key="rpa_x").client().url

    def test_a_missing_key_is_named(self) -> None:
        with pytest.raises(typer.BadParameter, match="RUNPOD_API_KEY"):
            Connection().client()

    def test_a_damaged_file_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "lorapod.toml").write_text("nonsense")

        with pytest.raises(typer.BadParameter, match=r"lorapod\.toml"):
            Connection(api_key="rpa_x").client()

    def test_another_file_is_named_by_a_variable(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write_project(tmp_path / "other.toml", ProjectFile(endpoint="ep7"))
        monkeypatch.setenv("LORAPOD_FILE", str(tmp_path / "other.toml"))

        assert Connection().named_endpoint() == "ep7"
