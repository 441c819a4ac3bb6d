from __future__ import annotations

from pathlib import Path

from tests.unit.datasets.shelf import picture

from lorapod.datasets.check import inspect


def fill(folder: Path, **files: bytes) -> None:
    for name, content in files.items():
        path = folder / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def test_counts_what_a_trainer_reads(tmp_path: Path) -> None:
    fill(
        tmp_path,
        a_dot_png=picture(),
        a_dot_txt=b"x",
        deep__b_dot_png=picture(),
        clip_dot_mp4=b"x",
        notes_dot_json=b"{}",
    )
    for hidden in (
        "_latent_cache/a.png",
        "_t_e_cache/x.txt",
        "_controls/c.png",
        ".thumbs/d.png",
        ".aitk_size.json",
    ):
        path = tmp_path / hidden
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(picture())
    summary = inspect(tmp_path)
    assert (summary.images, summary.videos, summary.captions) == (2, 1, 1)
    assert summary.images_without_caption == ["deep/b.png"]
    assert summary.total_bytes == 2 * len(picture()) + 4
    assert summary.warnings == []


def test_a_json_beside_a_picture_is_its_caption(tmp_path: Path) -> None:
    fill(tmp_path, a_dot_png=picture(), a_dot_json=b"{}")
    assert inspect(tmp_path).images_without_caption == []


def test_captions_pair_within_their_folder_only(tmp_path: Path) -> None:
    fill(tmp_path, one__a_dot_png=picture(), two__a_dot_txt=b"x")
    assert inspect(tmp_path).images_without_caption == ["one/a.png"]


def test_warns_of_what_trainers_stumble_over(tmp_path: Path) -> None:
    fill(
        tmp_path,
        a_dot_png=b"text",
        b_dot_png=b"",
        c_dot_gif=b"GIF89a",
        d_dot_png=picture(),
        d_dot_jpg=picture("JPEG"),
        e_dot_txt=b"x",
    )
    warnings = " ".join(inspect(tmp_path).warnings)
    for sentence in (
        "a.png is not a picture but text",
        "b.png is empty",
        "c.gif is not read by trainers",
        "d: 2 pictures share one caption",
        "The caption e has no picture",
    ):
        assert sentence in warnings
    assert "a.png" not in " ".join(inspect(tmp_path, open_pictures=False).warnings)


def test_many_warnings_are_counted(tmp_path: Path) -> None:
    for number in range(50):
        (tmp_path / f"{number:02}.png").write_bytes(b"text")
    warnings = inspect(tmp_path).warnings
    assert len(warnings) == 21
    assert warnings[-1] == "And 30 warnings more."


def test_links_and_missing_folders_hold_nothing(tmp_path: Path) -> None:
    (tmp_path / "real.png").write_bytes(picture())
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.png").symlink_to(tmp_path / "real.png")
    (folder / "loop").symlink_to(folder)
    assert inspect(folder).images == 0
    assert inspect(tmp_path / "none").total_bytes == 0
