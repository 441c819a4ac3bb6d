from __future__ import annotations

from pathlib import Path

from PIL import Image

from lorapod.dataset_reader.entry import DatasetEntry
from lorapod.datasets.check import DatasetSummary, inspect


def draw(path: Path, mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # No two are the same image.
    Image.new(mode, (300, 300 + len(list(path.parent.iterdir())))).save(path)


def look(root: Path, **section: object) -> DatasetSummary:
    entry = DatasetEntry.from_config({"folder_path": str(root / "data"), **section}, place="datasets[0]")
    assert entry is not None
    return inspect(entry, root=root)


def test_what_misses_its_partner_and_what_belongs_to_nothing_is_named(tmp_path: Path) -> None:
    for name in ("data/a.png", "data/b.png", "data/c.png", "before/a.jpg", "before/B.png", "before/x.png"):
        draw(tmp_path / name)
    warnings = look(tmp_path, control_path=str(tmp_path / "before")).warnings
    assert "2 of 3 images have no control image in before: b.png, c.png." in warnings
    (unused,) = [warning for warning in warnings if "control_path" in warning]
    assert unused.startswith("before/B.png, before/x.png in the folder of control_path belong to no image")


def test_each_kind_of_partner_has_its_word(tmp_path: Path) -> None:
    draw(tmp_path / "data/a.png")
    draw(tmp_path / "mask/b.png")
    draw(tmp_path / "inpaint/a.jpg")
    text = " ".join(
        look(tmp_path, mask_path=str(tmp_path / "mask"), inpaint_path=str(tmp_path / "inpaint")).warnings
    )
    assert "No image has a mask in mask" in text
    assert (
        "No image has an inpaint image in inpaint: it has the name of its image and ends in .png .webp, for example a.png"
        in text
    )


def test_partners_are_looked_into(tmp_path: Path) -> None:
    for name in ("data/a.png", "data/b.png", "inpaint/a.png"):
        draw(tmp_path / name)
    draw(tmp_path / "inpaint/b.png", "RGBA")
    broken = tmp_path / "mask" / "a.png"
    draw(broken)
    broken.write_bytes(broken.read_bytes()[:-30])
    summary = look(tmp_path, mask_path=str(tmp_path / "mask"), inpaint_path=str(tmp_path / "inpaint"))
    assert summary.errors == [{"field": "mask/a.png", "error": "mask/a.png is cut off: its end is missing."}]
    assert (
        "inpaint/a.png: the trainer passes over inpaint images without an alpha channel." in summary.warnings
    )


def test_masks_of_another_shape_are_named(tmp_path: Path) -> None:
    for name, size in {"data/a.png": (300, 400), "data/b.png": (300, 300), "before/a.png": (400, 300),
                       "mask/a.png": (400, 300), "mask/b.png": (150, 150)}.items():  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", size).save(tmp_path / name)
    warnings = look(
        tmp_path, mask_path=str(tmp_path / "mask"), control_path=str(tmp_path / "before")
    ).warnings
    (sentence,) = [warning for warning in warnings if "another shape" in warning]
    assert sentence.endswith("passes over: mask/a.png (400 x 300, its image 300 x 400).")


def test_control_images_in_the_dataset_s_own_folder_are_trained_on(tmp_path: Path) -> None:
    draw(tmp_path / "data/a.png")
    draw(tmp_path / "data/before/a.png")
    summary = look(tmp_path, control_path=str(tmp_path / "data" / "before"))
    assert summary.images == 2
    assert any("lies in the dataset's own folder" in warning for warning in summary.warnings)
    (tmp_path / "data/before").rename(tmp_path / "data/_controls")
    summary = look(tmp_path, control_path=str(tmp_path / "data" / "_controls"))
    assert summary.images == 1
    assert not any("own folder" in warning or "belong" in warning for warning in summary.warnings)


def test_a_link_among_the_partners_must_stay_in_the_workspace(tmp_path: Path) -> None:
    root = tmp_path / "workspace"
    draw(root / "data/a.png")
    draw(tmp_path / "secret.png")
    (root / "before").mkdir()
    (root / "before/a.png").symlink_to(tmp_path / "secret.png")
    errors = look(root, control_path=str(root / "before")).errors
    assert [error["field"] for error in errors] == ["before/a.png"]
