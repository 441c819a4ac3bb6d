from __future__ import annotations

import pytest

from lorapod.safety.code_pages import TEXT_PAGES, decode_together, likeliest_page

NAMES = {
    "cp437": [["café.png", "crème brûlée.png"], ["Müller.png", "Grün.txt"], ["niño.jpg"], ["Größe_1.png"]],
    "cp866": [["кошка.png", "кошка.txt"], ["мама.png"], ["Фото 1.jpg", "Фото 2.jpg"], ["ЛЕТО/IMG_1.jpg"]],
    "cp1251": [["кошка.png", "кошка.txt"], ["мама.png"], ["Фото 1.jpg", "Фото 2.jpg"], ["ЛЕТО/IMG_1.jpg"]],
    "cp932": [["猫.png", "写真1.jpg"], ["ソフト表.png"], ["能力.png"], ["日本語.txt"], ["ひらがな.png"]],
    "cp936": [["照片1.jpg", "照片2.jpg"], ["中文文件.txt"], ["新建文件夹/图片.png"], ["我的女朋友.png"]],
    "cp1252": [["café.png", "crème brûlée.png"], ["Müller.png", "Grün.txt"], ["niño.jpg"], ["it’s.png"]],  # noqa: RUF001
    "utf-8": [["猫.png", "кошка.png", "café.png"], ["🐈.png"], ["قطة.png"]],
}


@pytest.mark.parametrize(("page", "names"), [(page, names) for page, sets in NAMES.items() for names in sets])
def test_names_are_decoded_by_the_code_page_that_they_were_written_in(page: str, names: list[str]) -> None:
    assert list(decode_together([name.encode(page) for name in names])) == names


def test_one_name_helps_the_other() -> None:
    alone = "Ä.png".encode("cp437")
    together = decode_together([alone, "Käse und Brötchen.png".encode("cp437")])
    assert together[0] == "Ä.png"


def test_bytes_that_no_code_page_has_still_become_a_name() -> None:
    assert len(decode_together([b"\x81\xff\xfe\x8d.png"])) == 1


@pytest.mark.parametrize(
    ("text", "page"),
    [
        ("a café at night", "cp1252"),
        ("кошка на окне", "cp1251"),
        ("猫の写真、屋外", "cp932"),
        ("一只猫在窗边", "gbk"),
    ],
)
def test_text_of_windows_editors(text: str, page: str) -> None:
    assert likeliest_page(text.encode(page), TEXT_PAGES) == page


def test_what_fits_no_code_page() -> None:
    assert likeliest_page(b"\x81 \x98 ", TEXT_PAGES) is None
    assert likeliest_page(bytes(range(128, 256)) * 3, TEXT_PAGES, worst=0.6) is None
    assert likeliest_page("a café".encode("cp1252"), TEXT_PAGES, worst=0.6) == "cp1252"
