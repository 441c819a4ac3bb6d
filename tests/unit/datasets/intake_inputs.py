"""Generated datasets on their way in: names, layouts, encodings and damage of every kind that people send."""

from __future__ import annotations

import io
import random
import tarfile
import unicodedata
import zipfile
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from PIL import Image
from tests.unit.datasets.library_bench import MP4_HEAD

from lorapod.wire.dataset import is_dataset_name

STEMS = (
    *"1 2 3 IMG_1 _DSC0001 (1) -dash .lead ..two A a Ä é e\u0301 猫 кошка שלום 😀 x.y default metadata con".split(),
    *(
        "img%20one",
        "same",
        "same",
        "same",
        "10_cat",
        "it's me",
        "photo, red",
        "photo #1",
        "IMG_1 & 2",
        " spaced ",
    ),
    "w" * 190,
)
IMAGE_SUFFIXES = (".png", ".png", ".jpg", ".JPG", ".jpeg", ".webp")
OTHER_SUFFIXES = (
    *(".txt", ".txt", ".txt", ".TXT", ".caption", ".json", ".gif", ".bmp", ".mp4", ".pdf", ".jsonl", ""),
    *(".PNG", ".tif", ".docx"),
)
FOLDERS = (
    *("", "", "", "a/", "b/", "a/b/", "10_cat/", "2_dog/", "set/10_cat/", "target/", "control/", "ünï/"),
    *("__MACOSX/", "a/__MACOSX/"),
)
#: Code pages of names in zips that do not say which they use.
PAGES = ("utf-8", "cp437", "cp866", "cp932", "gbk", "cp1251", "cp1252")
_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".gif": "GIF", ".bmp": "BMP", ".tif": "TIFF"}  # fmt: skip
_LITTER = frozenset({"thumbs.db", "desktop.ini", ".ds_store"})


class Damage(StrEnum):
    """What is wrong with a file."""

    NONE = "none"
    CUT_OFF = "cut off"
    EMPTY = "empty"
    OTHER_CONTENT = "other content"


@dataclass(frozen=True, kw_only=True)
class InputFile:
    """One file of a generated dataset."""

    #: With its folders.
    path: str
    content: bytes
    damage: Damage
    #: What tells its content from that of all others: pixels, or a few letters.
    mark: bytes = b""

    @property
    def suffix(self) -> str:
        name = self.path.rpartition("/")[2]
        return name[name.rfind(".") :].lower() if name.rfind(".") > 0 else ""

    @property
    def is_good_image(self) -> bool:
        """Whether trainers read it as it is: it must arrive unchanged."""
        return self.damage is Damage.NONE and self.suffix in {".png", ".jpg", ".jpeg", ".webp"}

    @property
    def is_litter(self) -> bool:
        *folders, name = self.path.split("/")
        if "__MACOSX" in folders or name.lower() in _LITTER or name.startswith("._"):
            return True
        # A hidden file is one of a program's, unless it is a picture or a text.
        return name.startswith(".") and (self.suffix.startswith(".json") or not is_dataset_name(name))


def make_files(dice: random.Random, *, folders: bool = True) -> list[InputFile]:
    """Return a few files with paths that differ, also for a system that takes NFC and NFD for the same."""
    files: dict[str, InputFile] = {}
    harmed = dice.random() < 0.5
    for _ in range(dice.randint(1, 8)):
        folder = dice.choice(FOLDERS) if folders else ""
        stem = dice.choice(STEMS)
        suffixes = [dice.choice(IMAGE_SUFFIXES if dice.random() < 0.6 else OTHER_SUFFIXES)]
        if dice.random() < 0.5:
            suffixes.append(dice.choice((".txt", ".txt", ".TXT", ".caption")))
        for suffix in suffixes:
            path = f"{folder}{stem}{suffix}"
            file = _file(path, dice, harmed=harmed)
            files.setdefault(unicodedata.normalize("NFC", path), file)
    if dice.random() < 0.1:
        name = dice.choice(("Thumbs.db", ".DS_Store", "._1.png"))
        files[name] = InputFile(path=name, content=b"litter", damage=Damage.NONE)
    return list(files.values())


def _file(path: str, dice: random.Random, *, harmed: bool) -> InputFile:
    damage = dice.choices(list(Damage), (80, 7, 4, 9))[0] if harmed else Damage.NONE
    probe = InputFile(path=path, content=b"", damage=damage)
    content, mark = _content(probe.suffix, dice)
    match damage:
        case Damage.CUT_OFF:
            content = content[: len(content) * 2 // 3]
        case Damage.EMPTY:
            content = b""
        case Damage.OTHER_CONTENT:
            content = dice.choice((b"<html>log in</html>", dice.randbytes(40), b"\0" * 60, b"caf\xe9 \x81"))
    return InputFile(path=path, content=content, damage=damage, mark=mark)


def _content(suffix: str, dice: random.Random) -> tuple[bytes, bytes]:
    if (form := _FORMATS.get(suffix)) is not None:
        # No two are alike, so that each can be found again.
        size = (dice.randint(4, 9), dice.randint(4, 9))
        image = Image.frombytes("RGB", size, dice.randbytes(3 * size[0] * size[1]))
        file = io.BytesIO()
        image.save(file, form, **({"lossless": True} if form == "WEBP" else {}))
        return file.getvalue(), pixels(file.getvalue())
    mark = f"{dice.random()}"
    text = f"a photo, {mark}, größe"
    if suffix == ".json":
        text = dice.choice(('{"caption": "%s"}', '["%s"]', "%s")).replace("%s", text)
    if suffix == ".jsonl":
        text = f'{{"file_name": "1.png", "text": "{text}"}}\n'
    content = text.encode()
    if suffix == ".mp4":
        content = MP4_HEAD + content
    if suffix in {".txt", ".caption"}:
        encoding = dice.choice(("utf-8", "utf-8", "utf-8-sig", "utf-16", "cp1252"))
        content = text.replace(", ", dice.choice((", ", "\r\n"))).encode(encoding)
    return content, mark.encode()


def pixels(content: bytes) -> bytes:
    """Return size and colours of an image: the same after a conversion without loss."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            return b"%d %d " % image.size + image.convert("RGB").tobytes()
    except OSError:
        return b""


def zipped(files: list[InputFile], dice: random.Random) -> tuple[bytes, bool]:
    """Pack them; names in one of many encodings, with slashes or backslashes.

    Returns:
        The zip, and whether it says its names' encoding: else they can only be guessed.
    """
    page = dice.choice((None, None, *PAGES))
    separator = dice.choice(("/", "/", "/", "\\"))
    names = [file.path.replace("/", separator) for file in files]
    try:
        raw = [name.encode(page or "utf-8") for name in names]
    except UnicodeEncodeError:
        page, raw = None, [name.encode() for name in names]
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", dice.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        for number, (file, name, encoded) in enumerate(zip(files, names, raw, strict=True)):
            entry = zipfile.ZipInfo(name)
            if page is not None:
                entry = _RawName(f"{number}")
                entry.raw = encoded
            archive.writestr(entry, file.content)
    return data.getvalue(), page is None


class _RawName(zipfile.ZipInfo):
    """An entry whose name is written as these bytes, and says no encoding."""

    raw = b""

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802 - the name in the standard library
        return self.raw, self.flag_bits & ~0x800


def tarred(files: list[InputFile], dice: random.Random) -> bytes:
    """Pack them as tar, compressed or not."""
    data = io.BytesIO()
    mode: Literal["w:gz", "w"] = "w:gz" if dice.random() < 0.5 else "w"
    with tarfile.open(None, mode, data) as archive:
        for file in files:
            member = tarfile.TarInfo(file.path)
            member.size = len(file.content)
            archive.addfile(member, io.BytesIO(file.content))
    return data.getvalue()


def damaged(content: bytes, dice: random.Random) -> bytes:
    """Return an archive that was cut off or has wrong bytes."""
    data = bytearray(content)
    if dice.random() < 0.5:
        return bytes(data[: dice.randrange(len(data))])
    for _ in range(dice.choice((1, 3, 20))):
        data[dice.randrange(len(data))] = dice.randrange(256)
    return bytes(data)
