import os
from pathlib import Path

from lorapod.telemetry.disk import disk_of


def test_figures_are_those_of_the_file_system(tmp_path: Path) -> None:
    found, told = disk_of(tmp_path), os.statvfs(tmp_path)
    assert found.total_bytes == told.f_blocks * told.f_frsize
    assert 0 <= found.free_bytes <= found.total_bytes
    assert 0 < found.used_bytes <= found.total_bytes


def test_a_folder_that_is_not_there_yet_is_judged_by_its_parent(tmp_path: Path) -> None:
    assert disk_of(tmp_path / "not" / "yet").total_bytes == disk_of(tmp_path).total_bytes


def test_a_path_below_a_file_is_judged_by_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert disk_of(tmp_path / "file" / "below").total_bytes == disk_of(tmp_path).total_bytes
