from __future__ import annotations

from pathlib import Path

from PIL import Image
from tests.unit.datasets.library_bench import picture

from lorapod.dataset_reader.entry import DatasetEntry
from lorapod.datasets.contact_sheet import IMAGES_MAX, draw_contact_sheet


def test_pictures_and_captions(tmp_path: Path) -> None:
    dataset = tmp_path / "cats"
    dataset.mkdir()
    for number in range(10):
        Image.new("RGB", (100 + number, 80), (200, 10 * number, 0)).save(dataset / f"{number}.png")
    (dataset / "0.txt").write_text("a cat " * 50 + "猫", encoding="utf-8")
    (dataset / "1.txt").write_text("", encoding="utf-8")
    (dataset / "2.txt").write_bytes(b"\xff")
    (dataset / "broken.png").write_bytes(b"x")
    target = tmp_path / "dataset.png"
    assert draw_contact_sheet([DatasetEntry(folder=dataset)], target)
    with Image.open(target) as sheet:
        assert sheet.format == "PNG"
        assert sheet.getpixel((8 + 80, 24 + 80)) == (200, 0, 0)
        reds = sheet.getchannel(0).histogram()[200]
    # Here and there the grey of the letters has the same value.
    assert 0 <= reds - sum((100 + number) * 80 for number in range(10)) < 50
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["dataset.png"]


def test_of_many_pictures_some(tmp_path: Path) -> None:
    dataset = tmp_path / "cats"
    dataset.mkdir()
    content = picture(size=(20, 20))
    for number in range(200):
        (dataset / f"{number:03}.png").write_bytes(content)
    target = tmp_path / "dataset.png"
    assert draw_contact_sheet([DatasetEntry(folder=dataset)], target)
    with Image.open(target) as sheet:
        rows = (sheet.height - 24) // 204
    assert rows * 8 <= IMAGES_MAX


def test_no_time_or_no_pictures(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture())
    target = tmp_path / "sheet.png"
    assert not draw_contact_sheet([DatasetEntry(folder=tmp_path)], target, budget_s=-1)
    assert not draw_contact_sheet([DatasetEntry(folder=tmp_path / "none")], target)
    assert not target.exists()
