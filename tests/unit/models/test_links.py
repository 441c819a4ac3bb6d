from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.unit.models.model_files import put_model

from lorapod.files.digests import DigestBook
from lorapod.models.catalog import WorkspaceModels
from lorapod.models.find import find_models
from lorapod.models.kinds import ModelKind
from lorapod.models.links import COMFYUI_FOLDERS, SWARMUI_FOLDERS, link_models, name_in_engines
from lorapod.models.symlinks import LinkReport
from lorapod.workspace import Workspace

PROCESS = "train_0123456789ab"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "volume")


@pytest.fixture
def comfyui(tmp_path: Path) -> Path:
    """As a fresh checkout: every folder holds an empty file that says what belongs there."""
    root = tmp_path / "image/comfyui"
    for name in COMFYUI_FOLDERS:
        (root / "models" / name).mkdir(parents=True)
        (root / "models" / name / f"put_{name}_here").touch()
    return root


def run(workspace: Workspace, comfyui: Path | None = None, swarmui: Path | None = None) -> LinkReport:
    return link_models(workspace, comfyui=comfyui, swarmui=swarmui)


def files(folder: Path) -> dict[str, bytes]:
    """Every real file below a folder, links left out."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


def test_folders_that_nobody_uses_become_links(workspace: Workspace, comfyui: Path) -> None:
    model = put_model(workspace.models / "vae/a.safetensors")
    before = files(comfyui)
    report = run(workspace, comfyui)
    for name in COMFYUI_FOLDERS:
        assert (comfyui / "models" / name).resolve() == workspace.models / name
    assert (comfyui / "models/vae/a.safetensors").samefile(model)
    assert report.conflicts == []
    # Not even the placeholders are gone.
    assert sorted(Path(name).name for name in files(comfyui)) == sorted(Path(name).name for name in before)


def test_a_second_run_changes_nothing(workspace: Workspace, comfyui: Path, tmp_path: Path) -> None:
    put_model(comfyui / "models/loras/own.safetensors")
    put_model(workspace.models / "loras/a.safetensors")
    swarmui = tmp_path / "image/swarmui"
    run(workspace, comfyui, swarmui)
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    report = run(workspace, comfyui, swarmui)
    assert (report.made, report.removed, report.conflicts) == ([], [], [])
    assert sorted(str(path) for path in tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "name", ["ipadapter", "sams", "ultralytics", "animatediff_models", "latent_upscale_models"]
)
def test_folders_of_extensions_become_links(workspace: Workspace, comfyui: Path, name: str) -> None:
    shutil.rmtree(comfyui / "models" / name, ignore_errors=True)
    model = put_model(workspace.root / "comfyui/models" / name / "bbox/a.safetensors")

    run(workspace, comfyui)

    assert (comfyui / "models" / name / "bbox/a.safetensors").samefile(model)
    assert (comfyui / "models" / name).resolve() == workspace.models / name


def test_comfyui_sees_a_folder_of_any_name(workspace: Workspace, comfyui: Path, tmp_path: Path) -> None:
    model = put_model(workspace.models / "of-a-new-extension/a.safetensors")
    (workspace.models / "readme.txt").write_text("no folder")

    run(workspace, comfyui, tmp_path / "image/swarmui")

    assert (comfyui / "models/of-a-new-extension/a.safetensors").samefile(model)
    assert not (comfyui / "models/readme.txt").exists()
    assert not (tmp_path / "image/swarmui/Models/of-a-new-extension").exists()


def test_quantised_models_are_where_comfyui_s_nodes_look(workspace: Workspace, comfyui: Path) -> None:
    for folder in ("unet_gguf", "clip_gguf"):
        (workspace.models / folder).mkdir()
        (workspace.models / folder / "q4.gguf").write_bytes(b"GGUF")

    run(workspace, comfyui)

    for folder, shown in (("unet_gguf", "diffusion_models"), ("clip_gguf", "text_encoders")):
        path = workspace.models / folder / "q4.gguf"
        name = name_in_engines(path, workspace)
        assert name == f"{folder}/q4.gguf"
        assert (comfyui / "models" / shown / name).samefile(path)
    kinds = {model.path.parent.name: model.kind for model in find_models(workspace)}
    assert kinds == {"unet_gguf": ModelKind.DIFFUSION_MODEL, "clip_gguf": ModelKind.TEXT_ENCODER}


def test_swarmui_has_its_own_names(workspace: Workspace, tmp_path: Path) -> None:
    swarmui = tmp_path / "image/swarmui"
    put_model(workspace.models / "checkpoints/base.safetensors")
    put_model(workspace.models / "loras/cat.safetensors")
    run(workspace, swarmui=swarmui)
    assert (swarmui / "Models/Stable-Diffusion/base.safetensors").is_file()
    assert (swarmui / "Models/Lora/cat.safetensors").is_file()
    assert sorted(path.name for path in (swarmui / "Models").iterdir()) == sorted(SWARMUI_FOLDERS)


def test_a_lora_just_trained_is_there_without_another_run(workspace: Workspace, comfyui: Path) -> None:
    run(workspace, comfyui)
    path = put_model(workspace.output / PROCESS / "cat/cat.safetensors")
    name = name_in_engines(path, workspace)
    assert name == f"trained/{PROCESS}/cat/cat.safetensors"
    assert (comfyui / "models/loras" / name).samefile(path)
    # As ComfyUI looks for models.
    found = [place for place, _, names in os.walk(comfyui / "models/loras", followlinks=True) if names]
    assert found == [str(comfyui / f"models/loras/trained/{PROCESS}/cat")]


def test_sessions_are_among_them_too(workspace: Workspace, comfyui: Path) -> None:
    path = put_model(workspace.root / "training/training_session_1760000000/output/cat/cat.safetensors")
    run(workspace, comfyui)
    name = name_in_engines(path, workspace)
    assert name == "training_session_1760000000/cat/cat.safetensors"
    assert (comfyui / "models/loras" / name).samefile(path)
    catalog = WorkspaceModels(workspace=workspace, digests=DigestBook(workspace=workspace))
    # Once, though two ways lead there.
    assert [view.path for view in catalog.page(kind=None, limit=9, cursor=None).models] == [
        "training/training_session_1760000000/output/cat/cat.safetensors"
    ]
    shutil.rmtree(path.parents[2])
    assert len(run(workspace, comfyui).removed) == 1
    assert not (workspace.models / "loras/training_session_1760000000").is_symlink()


def test_names_in_engines(workspace: Workspace, tmp_path: Path) -> None:
    assert name_in_engines(workspace.models / "loras/a/b.safetensors", workspace) == "a/b.safetensors"
    assert name_in_engines(workspace.models / "loose.safetensors", workspace) is None
    assert name_in_engines(tmp_path / "x.safetensors", workspace) is None


class TestAFolderInUse:
    def test_stays_with_the_workspace_s_models_beside_its_own(
        self, workspace: Workspace, comfyui: Path
    ) -> None:
        own = put_model(comfyui / "models/loras/own.safetensors", trigger_word="own")
        put_model(workspace.models / "loras/a.safetensors")
        put_model(workspace.models / "loras/set/b.safetensors")
        run(workspace, comfyui)
        folder = comfyui / "models/loras"
        assert not folder.is_symlink()
        assert not own.is_symlink()
        assert {path.name for path in folder.iterdir()} == {
            *("own.safetensors", "a.safetensors", "set", "trained", "put_loras_here")
        }
        assert (folder / "set/b.safetensors").is_file()

    def test_two_models_of_one_name_are_told_and_both_left(self, workspace: Workspace, comfyui: Path) -> None:
        own = put_model(comfyui / "models/loras/cat.safetensors", trigger_word="own")
        put_model(workspace.models / "loras/cat.safetensors", trigger_word="volume")
        before = (own.read_bytes(), files(workspace.root))
        report = run(workspace, comfyui)
        (conflict,) = report.conflicts
        assert str(own) in conflict
        assert (own.read_bytes(), files(workspace.root)) == before

    def test_a_link_of_ours_whose_model_is_gone_goes_too(self, workspace: Workspace, comfyui: Path) -> None:
        put_model(comfyui / "models/loras/own.safetensors")
        gone = put_model(workspace.models / "loras/a.safetensors")
        foreign = comfyui / "models/loras/foreign.safetensors"
        run(workspace, comfyui)
        gone.unlink()
        foreign.symlink_to("/nowhere/x.safetensors")
        report = run(workspace, comfyui)
        assert len(report.removed) == 1
        assert not (comfyui / "models/loras/a.safetensors").is_symlink()
        assert foreign.is_symlink()

    def test_a_link_to_a_folder_of_the_user_s_is_kept(
        self, workspace: Workspace, comfyui: Path, tmp_path: Path
    ) -> None:
        place = comfyui / "models/vae"
        (place / "put_vae_here").unlink()
        place.rmdir()
        elsewhere = put_model(tmp_path / "disk/vae/mine.safetensors").parent
        place.symlink_to(elsewhere)
        put_model(workspace.models / "vae/a.safetensors")
        run(workspace, comfyui)
        assert place.resolve() == elsewhere
        assert {path.name for path in place.iterdir()} == {"mine.safetensors", "a.safetensors"}

    def test_a_file_in_the_place_of_a_folder_is_told(self, workspace: Workspace, tmp_path: Path) -> None:
        comfyui = tmp_path / "image/comfyui"
        (comfyui / "models").mkdir(parents=True)
        (comfyui / "models/vae").write_bytes(b"a note")
        report = run(workspace, comfyui)
        assert len(report.conflicts) == 1
        assert (comfyui / "models/vae").read_bytes() == b"a note"


def test_a_link_that_leads_nowhere_is_repaired(workspace: Workspace, tmp_path: Path) -> None:
    comfyui = tmp_path / "image/comfyui"
    (comfyui / "models").mkdir(parents=True)
    (comfyui / "models/vae").symlink_to("/runpod-volume-of-another-time/models/vae")
    report = run(workspace, comfyui)
    assert (comfyui / "models/vae").resolve() == workspace.models / "vae"
    assert report.conflicts == []


class TestOlderLayouts:
    def test_models_of_another_worker_s_volume_come_onto_the_shelf(
        self, workspace: Workspace, comfyui: Path
    ) -> None:
        old = workspace.root / "comfyui/models"
        path = put_model(old / "loras/wan/high.safetensors")
        put_model(old / "text_encoders/umt5.safetensors")
        put_model(workspace.root / "Models/Stable-Diffusion/base.safetensors")
        run(workspace, comfyui)
        catalog = WorkspaceModels(workspace=workspace, digests=DigestBook(workspace=workspace))
        listed = {view.path: view.kind for view in catalog.page(kind=None, limit=99, cursor=None).models}
        assert listed == {
            "models/checkpoints/base.safetensors": ModelKind.CHECKPOINT,
            "models/loras/wan/high.safetensors": ModelKind.LORA,
            "models/text_encoders/umt5.safetensors": ModelKind.TEXT_ENCODER,
        }
        assert (comfyui / "models/loras/wan/high.safetensors").samefile(path)

    def test_links_on_the_volume_hold_wherever_it_is_mounted(
        self, workspace: Workspace, tmp_path: Path
    ) -> None:
        put_model(workspace.root / "comfyui/models/loras/a.safetensors")
        put_model(workspace.root / "SwarmUI/Models/Lora/b.safetensors")
        put_model(workspace.output / PROCESS / "cat/cat.safetensors")
        run(workspace, swarmui=workspace.root / "SwarmUI")
        elsewhere = tmp_path / "mounted-elsewhere"
        workspace.root.rename(elsewhere)
        for name in ("a", "b", f"trained/{PROCESS}/cat/cat"):
            assert (elsewhere / f"SwarmUI/Models/Lora/{name}.safetensors").is_file()
            assert (elsewhere / f"models/loras/{name}.safetensors").is_file()

    def test_models_at_the_volumes_root_are_shown_too(self, workspace: Workspace, comfyui: Path) -> None:
        for name in ("checkpoints/a", "loras/style/b", "ipadapter/c", "diffusers/d"):
            put_model(workspace.root / f"{name}.safetensors")
        run(workspace, comfyui)
        for name in ("checkpoints/a", "loras/style/b", "ipadapter/c"):
            assert (comfyui / f"models/{name}.safetensors").samefile(workspace.root / f"{name}.safetensors")
        assert not (comfyui / "models/diffusers/d.safetensors").exists()

    def test_nothing_is_made_where_there_is_nothing(self, workspace: Workspace) -> None:
        run(workspace)
        assert list(workspace.models.iterdir()) == []


def test_many_workers_at_once(workspace: Workspace, tmp_path: Path) -> None:
    """On folders that all of them share."""
    swarmui = workspace.root / "SwarmUI"
    for number in range(20):
        put_model(workspace.models / f"loras/{number}.safetensors")
        put_model(swarmui / f"Models/VAE/{number}.safetensors")
        put_model(workspace.root / f"comfyui/models/vae/old-{number}.safetensors")
    before = files(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        reports = list(pool.map(lambda _: run(workspace, swarmui=swarmui), range(32)))
    assert [report.conflicts for report in reports if report.conflicts] == []
    assert files(tmp_path) == before
    assert (swarmui / "Models/Lora").resolve() == workspace.models / "loras"
    assert {path.name for path in (swarmui / "Models/VAE").iterdir()} == {
        *(f"{number}.safetensors" for number in range(20)),
        *(f"old-{number}.safetensors" for number in range(20)),
    }
    assert run(workspace, swarmui=swarmui).made == []


def test_as_a_command(workspace: Workspace, comfyui: Path) -> None:
    own = put_model(comfyui / "models/vae/a.safetensors", trigger_word="own")
    put_model(workspace.models / "vae/a.safetensors")
    environment = {**os.environ, "WORKSPACE_PATH": str(workspace.root), "COMFYUI_PATH": str(comfyui)}
    command = [sys.executable, "-m", "lorapod.models.links"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert f"{comfyui / 'models/loras'} -> {workspace.models / 'loras'}" in done.stdout
    assert f"conflict: {own}" in done.stderr
