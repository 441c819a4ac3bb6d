from __future__ import annotations

import time
from pathlib import Path

import pytest
from PIL import Image
from tests.unit.datasets.library_bench import MP4_HEAD, picture

from lorapod.dataset_reader.entry import DatasetEntry
from lorapod.datasets.check import DatasetSummary
from lorapod.datasets.check import inspect as inspect_entry
from lorapod.errors import InvalidInput


def inspect(folder: Path, *, open_files: bool = True) -> DatasetSummary:
    return inspect_entry(DatasetEntry(folder=folder), open_files=open_files)


def fill(folder: Path, **files: bytes) -> None:
    for name, content in files.items():
        path = folder / name.replace("__MACOSX__", "MACOSX/").replace("__", "/").replace(
            "MACOSX", "__MACOSX"
        ).replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def test_counts_what_a_trainer_reads(tmp_path: Path) -> None:
    fill(
        tmp_path,
        a_dot_png=picture(),
        a_dot_txt=b"x",
        deep__b_dot_png=picture(),
        clip_dot_mp4=MP4_HEAD,
        notes_dot_json=b"{}",
    )
    for hidden in (
        "_latent_cache/a.safetensors",
        "_t_e_cache/x.safetensors",
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
    # With the control image, which the trainer does not learn from.
    assert summary.total_bytes == 3 * len(picture()) + len(MP4_HEAD) + 3
    assert summary.errors == []


@pytest.mark.parametrize("name", ["a.json", "a.caption", "a.TXT", "A.txt"])
def test_a_caption_that_no_trainer_reads_is_named_and_not_counted(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.png").write_bytes(picture())
    (tmp_path / name).write_text("a cat")
    summary = inspect(tmp_path)
    assert (summary.captions, summary.images_without_caption) == (0, ["a.png"])
    sentence = f"{name} is not read: as the caption of a.png the trainer reads a.txt only."
    assert any(warning.startswith(sentence) for warning in summary.warnings)


def test_captions_that_are_read_otherwise_than_written_are_named(tmp_path: Path) -> None:
    fill(tmp_path, a_dot_png=picture(), a_dot_json=b'{"caption": "a cat"}')
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfa cat")
    (tmp_path / "a.caption").write_bytes(b"a cat")
    assert any(
        "a.txt: the trainer reads the byte order mark" in warning for warning in inspect(tmp_path).warnings
    )
    (tmp_path / "a.txt").unlink()
    assert any("a.caption only" not in warning and "set caption_ext: caption" in warning
               for warning in inspect(tmp_path).warnings)  # fmt: skip
    summary = inspect_entry(DatasetEntry(folder=tmp_path, caption_ext=".json"))
    assert summary.captions == 1
    assert any("as plain text, with braces" in warning for warning in summary.warnings)


def test_captions_pair_within_their_folder_only(tmp_path: Path) -> None:
    fill(tmp_path, one__a_dot_png=picture(), two__a_dot_txt=b"x")
    assert inspect(tmp_path).images_without_caption == ["one/a.png"]


def test_errors_and_warnings_by_file(tmp_path: Path) -> None:
    fill(
        tmp_path,
        a_dot_png=b"text",
        b_dot_png=b"",
        c_dot_gif=b"GIF89a",
        d_dot_png=picture(),
        d_dot_jpg=picture("JPEG"),
        d_dot_txt=b"x",
        e_dot_txt=b"x",
        f_dot_png=picture(size=(9, 9))[:-20],
        g_dot_jpg=picture("JPEG", size=(90, 90))[:-1000],
        h_dot_webp=picture("WEBP", size=(90, 90))[:-1000],
        i_dot_png=picture(size=(7, 7)),
        i_dot_txt=b"caf\xe9",
        j_dot_png=picture(size=(5, 7)),
        j_dot_txt=b" \n",
    )
    summary = inspect(tmp_path)
    assert {(error["field"], error["error"]) for error in summary.errors} == {
        ("a.png", "a.png is not an image but text."),
        ("b.png", "b.png is empty: 0 bytes."),
        ("f.png", "f.png is cut off: its end is missing."),
        ("g.jpg", "g.jpg is cut off: its end is missing."),
        ("h.webp", "h.webp is cut off: its end is missing."),
        ("i.txt", "i.txt is not UTF-8 text (byte 3)."),
    }
    for sentence in (
        "c.gif is not read by trainers",
        "d.txt: 2 images share one caption",
        "The caption e.txt has no image",
        "j.txt is empty",
        "All images have a side below 256 pixels",
        "5 of 9 images have no caption",
    ):
        assert sentence in " ".join(summary.warnings)
    with pytest.raises(InvalidInput, match="Other problems: 5") as raised:
        summary.refuse_errors("cats")
    assert len(raised.value.details) == 6
    assert inspect(tmp_path, open_files=False).errors == []


def test_warnings_about_the_whole(tmp_path: Path) -> None:
    large = picture(size=(300, 300))
    fill(tmp_path, a_dot_png=large, b_dot_png=large, c_dot_png=picture(), a_dot_txt=b"x")
    assert inspect(tmp_path).warnings == [
        "There are only 3 images: a LoRA needs about 10 to 50, or it memorises them.",
        "2 of 3 images have no caption: b.png, c.png.",
        "1 of 3 images have a side below 256 pixels: c.png.",
        "a.png, b.png are the same image.",
    ]


def test_litter_is_passed_over(tmp_path: Path) -> None:
    fill(tmp_path, Thumbs_dot_db=b"x", b_dot_png=picture())
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "__MACOSX" / "._b.png").write_bytes(b"x")
    assert inspect(tmp_path).images == 1


def test_many_warnings_are_counted(tmp_path: Path) -> None:
    for number in range(50):
        (tmp_path / f"{number:02}.txt").write_bytes(b"text")
        (tmp_path / f"{number:02}.png").write_bytes(picture() + bytes(number // 2))
    warnings = inspect(tmp_path).warnings
    assert len(warnings) == 21
    assert warnings[-1] == "Other warnings: 6."


def test_a_thousand_pictures_take_seconds(tmp_path: Path) -> None:
    content = picture(size=(60, 60))
    for number in range(1000):
        (tmp_path / f"{number:04}.png").write_bytes(content + number.to_bytes(2, "big"))
    began = time.monotonic()
    assert inspect(tmp_path).images == 1000
    assert time.monotonic() - began < 10


def test_a_link_is_followed_as_trainers_do_but_not_out_of_the_workspace(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(picture())
    root = tmp_path / "workspace"
    folder = root / "folder"
    folder.mkdir(parents=True)
    (root / "real.png").write_bytes(picture())
    (folder / "a.png").symlink_to(root / "real.png")
    (folder / "b.png").symlink_to(root / "none.png")
    (folder / "loop").symlink_to(folder)
    (folder / "circle.png").symlink_to(folder / "circle.png")
    entry = DatasetEntry(folder=folder)
    assert (inspect_entry(entry, root=root).images, inspect_entry(entry, root=root).errors) == (1, [])
    (folder / "c.png").symlink_to(tmp_path / "secret.png")
    summary = inspect_entry(entry, root=root)
    assert (summary.images, [error["field"] for error in summary.errors]) == (1, ["c.png"])


def test_a_missing_folder_holds_nothing(tmp_path: Path) -> None:
    assert inspect(tmp_path / "none").total_bytes == 0


def test_an_alpha_channel_that_is_a_mask_is_not_called_transparency(tmp_path: Path) -> None:
    Image.new("RGBA", (300, 300), (0, 0, 0, 0)).save(tmp_path / "a.png")
    for alpha_mask in (False, True):
        warnings = inspect_entry(DatasetEntry(folder=tmp_path, alpha_mask=alpha_mask)).warnings
        assert any("transparency" in warning for warning in warnings) is not alpha_mask
        assert any("`fix`" in warning for warning in warnings) is not alpha_mask
