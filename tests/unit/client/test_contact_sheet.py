"""Contact sheets as a person sees them: every image in its place, and a word for what is missing."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lorapod.client import contact_sheet
from lorapod.client.contact_sheet import write_contact_sheets
from lorapod.client.errors import LorapodError


def item(name: str, colour: str = "red", *, caption: str = "a cat", **more: Any) -> dict[str, Any]:
    file = io.BytesIO()
    Image.new("RGB", (256, 128), colour).save(file, "WEBP", lossless=True)
    data = f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"
    return {"name": name, "caption": caption, "flags": [], "thumbnail": data, **more}


def reds(path: Path) -> int:
    with Image.open(path) as sheet:
        return sheet.tobytes().count(b"\xff\x00\x00")


def test_every_image_is_drawn_whole(tmp_path: Path) -> None:
    items = [item(f"{number}.png", width=1024, height=512, flags=["small"]) for number in range(8)]
    (path,) = write_contact_sheets(items, tmp_path / "new" / "sheet.png", title="cats")
    assert reds(path) == 8 * 256 * 128
    with Image.open(path) as sheet:
        assert sheet.width == 16 + 6 * (256 + 16)


def test_a_large_dataset_has_several_sheets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contact_sheet, "ITEMS_MAX", 2)
    items = [item(f"{number}.png") for number in range(5)]
    paths = write_contact_sheets(items, tmp_path / "a.png", title="cats")
    assert [path.name for path in paths] == ["a.png", "a-2.png", "a-3.png"]
    assert [reds(path) // (256 * 128) for path in paths] == [2, 2, 1]


@pytest.mark.parametrize("caption", ["", "x" * 100_000, "ein Käfig 猫 кот\n\n" * 300, "a\tb \u202e c"])
@pytest.mark.parametrize("name", ["1.png", "n" * 255, "ü猫.png"])
def test_odd_texts_stay_in_their_cells(tmp_path: Path, caption: str, name: str) -> None:
    odd = item(name, caption=caption, flags=["near_duplicate_of:" + "m" * 200])
    (path,) = write_contact_sheets([odd, item("2.png", "blue")], tmp_path / "a.png", title="cats")
    with Image.open(path) as sheet:
        assert sheet.height < 256 + 16 * 18 + 100
        right = sheet.crop((16 + 256 + 1, 40, 16 + 256 + 15, sheet.height))
        assert right.getcolors() == [(right.width * right.height, (255, 255, 255))]


@pytest.mark.parametrize("thumbnail", [None, "data:image/webp;base64,AAAA", "data:image/webp;base64,!"])
def test_an_image_without_a_thumbnail_has_an_empty_frame(tmp_path: Path, thumbnail: str | None) -> None:
    (path,) = write_contact_sheets([item("1.png") | {"thumbnail": thumbnail}], tmp_path / "a.png", title="t")
    with Image.open(path) as sheet:
        assert sheet.getpixel((16, 60)) == (0x9A, 0xA5, 0xB1)


def test_what_cannot_be_drawn_or_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(LorapodError, match="no images"):
        write_contact_sheets([], tmp_path / "a.png", title="cats")
    (tmp_path / "file").write_text("x")
    with pytest.raises(LorapodError, match="cannot be written"):
        write_contact_sheets([item("1.png")], tmp_path / "file" / "a.png", title="cats")
