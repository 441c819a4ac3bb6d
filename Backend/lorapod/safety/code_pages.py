"""Text whose encoding is not recorded: names in zip archives, captions from Windows.

Detectors for whole documents guess names of a few letters wrong: of thirty short names, charset-normalizer decoded 17
right. Here each possible code page gets a cost for every character that is unlikely where it stands, and the cheapest
one wins.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from itertools import pairwise

#: What Windows and its archive tools write: the code pages of the console, then those of the desktop.
ARCHIVE_PAGES = ("cp437", "cp866", "cp1252", "cp1251", "cp932", "gbk")

#: What Windows editors write as "ANSI".
TEXT_PAGES = ("cp1252", "cp1251", "cp932", "gbk")

#: Characters that are enough to tell code pages apart.
_SAMPLE_CHARACTERS = 4000

_CYRILLIC_COSTS = dict.fromkeys("оеаинтсрвлкм", 0.02) | dict.fromkeys("дпуяызгбчйхжш", 0.1) | dict.fromkeys(
    "ьюцщэфъё", 0.3)  # fmt: skip
_COMMON_HANZI = frozenset(
    "的一是不了人我在有他这中大来上国个到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可她里后小么心多天而能好都然没日"
    "于起还发成事只作当想看文无开手十用主行方又如前所本见经头面公同三已老从动两长猫狗女男图片照新建件夹像花画海山水风景色红白黑友朋头"
    "全身脸部练集数据素材高清原写真春夏秋冬东西南北京车房门树鸟鱼马牛羊龙美食月星光云雨雪张李王号第二四五六七八九百千万"
)
_FAMILIAR_SIGNS = frozenset("’‘“”–—…°·")  # noqa: RUF001 - the signs that are meant
_SYMBOL, _FOREIGN = 1.0, 0.8


def decode_together(names: Sequence[bytes]) -> Sequence[str]:
    """Decode the names of one archive: as UTF-8 if all are, else by the one code page that suits them best."""
    try:
        return [name.decode("utf-8") for name in names]
    except UnicodeDecodeError:
        page = likeliest_page(b"\n".join(names), ARCHIVE_PAGES)
        return [name.decode(page or "cp437") for name in names]


def likeliest_page(data: bytes, pages: Sequence[str], *, worst: float = math.inf) -> str | None:
    """Return the code page by which the text looks most like a language, or None.

    Args:
        data: the text.
        pages: the code pages to choose from.
        worst: the highest mean cost of a character that is not ASCII; above 0.6 it is hardly text.
    """
    costs: dict[str, float] = {}
    for page in pages:
        try:
            text = data.decode(page)[:_SAMPLE_CHARACTERS]
        except UnicodeDecodeError:
            continue
        cost = _cost(text)
        if cost <= worst * max(1, sum(character > "\x7f" for character in text)):
            costs[page] = cost
    return min(costs, key=costs.__getitem__) if costs else None


def _cost(text: str) -> float:
    padded = f" {text} "
    total = sum(
        _character_cost(character, in_latin_word=_is_latin(padded[place]) or _is_latin(padded[place + 2]))
        for place, character in enumerate(text)
        if character > "\x7f"
    )
    capitals = sum(one.islower() and other.isupper() and other > "\x7f" for one, other in pairwise(text))
    return total + 0.4 * capitals


def _is_latin(character: str) -> bool:
    return character.isascii() and character.isalpha()


def _character_cost(character: str, *, in_latin_word: bool) -> float:
    """Return how unlikely the character is between its neighbours; what no one types costs most."""
    category = unicodedata.category(character)
    if category in {"Cc", "Co", "Cn", "Cs"}:
        return 2.0
    if not category.startswith(("L", "M")):
        return 0.2 if character in _FAMILIAR_SIGNS else _SYMBOL
    script = unicodedata.name(character, "").partition(" ")[0]
    match script:
        case "LATIN":
            cost = 0.1 if in_latin_word else 0.5
        case "CYRILLIC":
            cost = _CYRILLIC_COSTS.get(character.lower(), 0.5) + (_FOREIGN if in_latin_word else 0)
        case "HIRAGANA" | "KATAKANA":
            cost = 0.0
        case "CJK":
            cost = _ideograph_cost(character) + (0.3 if in_latin_word else 0)
        case _:
            cost = _FOREIGN
    return cost


def _ideograph_cost(character: str) -> float:
    """Return less for an ideograph of the tables' first level, which holds what is used every day."""
    if character in _COMMON_HANZI:
        return 0.03
    costs = [0.8]
    for page, lowest, highest in (("cp932", 0x889F, 0x9872), ("gb2312", 0xB0A1, 0xD7F9)):
        try:
            code = int.from_bytes(character.encode(page))
        except UnicodeEncodeError:
            continue
        costs.append(0.13 if lowest <= code <= highest else 0.45)
    return min(costs)
