from __future__ import annotations

from pathlib import Path

import pytest

from lorapod.engines.comfyui.folders import ComfyFolders
from lorapod.engines.comfyui.outputs import OutputFile
from lorapod.engines.port import LoraUse

JOB = "generate_000000000001"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "comfyui"
    for name in ("input", "output", "temp", "models/loras"):
        (root / name).mkdir(parents=True)
    return root


def lora(path: Path) -> LoraUse:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return LoraUse(path=path, name=path.stem)


def test_a_command_line_may_have_moved_them(tmp_path: Path) -> None:
    plain = ComfyFolders.of(tmp_path)
    base = ComfyFolders.of(tmp_path, ["main.py", "--base-directory", "/b"])
    single = ComfyFolders.of(tmp_path, ["main.py", "--output-directory=/o", "--temp-directory", "/t"])

    assert (plain.input, plain.temp) == (tmp_path / "input", tmp_path / "temp")
    assert (base.output, base.loras) == (Path("/b/output"), Path("/b/models/loras"))
    assert (single.output, single.temp, single.input) == (Path("/o"), Path("/t/temp"), tmp_path / "input")


def test_a_lora_of_comfyuis_own_goes_by_its_name(root: Path) -> None:
    own = lora(root / "models/loras/style/fox.safetensors")

    assert ComfyFolders.of(root).lend(own, JOB) == "style/fox.safetensors"


def test_another_lora_is_lent_for_the_job(root: Path, tmp_path: Path) -> None:
    folders = ComfyFolders.of(root)
    first, second = lora(tmp_path / "a/fox.safetensors"), lora(tmp_path / "b/fox.safetensors")

    names = [folders.lend(first, JOB), folders.lend(second, JOB), folders.lend(first, JOB)]

    assert names == [f"lorapod/{JOB}/fox.safetensors", f"lorapod/{JOB}/fox_2.safetensors", names[0]]
    assert (folders.loras / names[1]).read_bytes() == b"x"
    folders.remove_job(JOB, [])
    assert [path for path in folders.loras.rglob("*") if path.is_symlink()] == []
    assert first.path.exists()


def test_a_loras_folder_that_is_a_link_to_the_volume_is_comfyuis_own(root: Path, tmp_path: Path) -> None:
    own = lora(tmp_path / "volume/loras/fox.safetensors")
    (root / "models/loras").rmdir()
    (root / "models/loras").symlink_to(own.path.parent)

    assert ComfyFolders.of(root).lend(own, JOB) == "fox.safetensors"


def test_only_the_jobs_own_things_are_removed(root: Path, tmp_path: Path) -> None:
    kept = [root / "output/theirs.png", root / f"output/lorapod/other/{JOB}.png", tmp_path / "outside.png"]
    gone = [
        root / f"output/lorapod/{JOB}/mine.png",
        root / f"input/lorapod/{JOB}/in.png",
        root / "temp/p.png",
    ]
    for path in [*kept, *gone]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    files = [
        OutputFile(node="1", filename="p.png", subfolder="", type="temp"),
        OutputFile(node="1", filename="../../outside.png", subfolder="", type="temp"),
        OutputFile(node="1", filename="outside.png", subfolder="../..", type="temp"),
        OutputFile(node="1", filename="theirs.png", subfolder="", type="output"),
    ]

    ComfyFolders.of(root).remove_job(JOB, files)

    assert [path for path in kept if not path.exists()] == []
    assert [path for path in gone if path.exists()] == []


def test_folders_that_are_not_there_are_no_trouble(tmp_path: Path) -> None:
    ComfyFolders.of(tmp_path / "nowhere").remove_job(JOB, [])
