from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lorapod.dataset_reader.entry import DatasetEntry, PartnerKind
from lorapod.datasets.sets import distinct, entries_of, inspect_all
from lorapod.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path)


def draw(folder: Path, count: int, *, captions: int = 0) -> str:
    folder.mkdir(exist_ok=True)
    for number in range(count):
        Image.new("RGB", (300, 300 + number)).save(folder / f"{number}.png")
    for number in range(captions):
        (folder / f"{number}.txt").write_text("a cat")
    return str(folder)


def config(*datasets: Any, arch: Any = "flux") -> dict[str, Any]:
    return {"config": {"process": [{"model": {"arch": arch}, "datasets": list(datasets)}]}}


def test_totals_over_all_sets_and_what_each_of_them_holds(workspace: Workspace) -> None:
    cats = draw(workspace.training_data / "cats", 6, captions=6)
    reg = draw(workspace.training_data / "reg", 8)
    (workspace.training_data / "reg" / "7.png").write_bytes(b"text")
    entries = entries_of(
        config({"folder_path": cats, "num_repeats": 10}, {"folder_path": reg, "is_reg": True})
    )
    summary = inspect_all(entries, workspace)
    assert (summary.path, summary.images, summary.captions) == (Path(cats), 14, 6)
    assert summary.warnings[:2] == [
        "training_data/cats: 6 images, 6 captions, 10 repeats.",
        "training_data/reg (regularisation): 8 images, 0 captions.",
    ]
    assert [error["field"] for error in summary.errors] == ["training_data/reg/7.png"]


def test_one_folder_at_several_resolutions_is_one_dataset(workspace: Workspace) -> None:
    cats = draw(workspace.training_data / "cats", 6)
    entries = entries_of(
        config(
            {"folder_path": cats, "resolution": 512},
            {"folder_path": cats, "resolution": [768, 512], "num_repeats": 2},
            {"folder_path": cats, "caption_ext": "caption"},
        )
    )
    assert [(entry.caption_ext, tuple(entry.resolution)) for entry in distinct(entries)] == [
        (".txt", (512, 768)),
        (".caption", (512,)),
    ]
    assert inspect_all(entries[:2], workspace).images == 6


@pytest.mark.parametrize(
    "shape",
    [{}, {"config": []}, {"config": {"process": []}}, {"config": {"process": ["x"]}}, {"steps": 5}, config(None, 5, {}),
     {"config": {"process": [{"datasets": {"folder_path": "x"}, "model": "y"}]}}],
)  # fmt: skip
def test_a_config_of_another_shape_names_nothing(shape: dict[str, Any]) -> None:
    assert entries_of(shape) == []


def test_values_of_a_wrong_type_count_as_not_given() -> None:
    wrong = {
        "folder_path": "/x", "caption_ext": 5, "num_frames": "9", "resolution": "big", "num_repeats": None,
        "control_path": [None, ""], "mask_path": 3, "default_caption": 1, "fps": [],
    }  # fmt: skip
    (entry,) = entries_of(config(wrong, arch=7))
    assert entry == DatasetEntry(
        folder=Path("/x"), place="config.process[0].datasets[0]", num_frames=1, resolution=(512,)
    )


def test_folders_of_second_pictures(workspace: Workspace) -> None:
    section = {"folder_path": "/x", "control_path": ["/a", "/b"], "mask_path": "/m", "inpaint_path": "/i"}
    (entry,) = entries_of(config(section))
    assert [(folder.kind, str(folder.path)) for folder in entry.partners] == [
        (PartnerKind.CONTROL, "/a"),
        (PartnerKind.CONTROL, "/b"),
        (PartnerKind.MASK, "/m"),
        (PartnerKind.INPAINT, "/i"),
    ]
    (alpha,) = entries_of(config({**section, "alpha_mask": True, "control_path_2": "/c"}))
    assert [str(folder.path) for folder in alpha.partners] == ["/c", "/i"]


@pytest.mark.parametrize("arch", ["ace_step_15", "ace_step_15_xl"])
def test_a_model_of_sounds_reads_sounds(workspace: Workspace, arch: str) -> None:
    folder = workspace.training_data / "songs"
    folder.mkdir()
    for name in ("a.mp3", "a.txt", "cover.png"):
        (folder / name).write_bytes(b"x")
    summary = inspect_all(entries_of(config({"folder_path": str(folder)}, arch=arch)), workspace)
    assert (summary.items, summary.images, summary.captions) == (1, 0, 1)
    summary.refuse_errors("songs")
