from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import random
import stat
import struct
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lorapod.errors import ErrorCode, InsufficientStorage, InvalidInput, UnsafeArchive, WorkerError
from lorapod.safety.archives import unpack
from lorapod.safety.unpacking import ArchiveLimits

LIMITS = ArchiveLimits(files=50, total_bytes=10_000_000, ratio=100)


def packed(entries: Mapping[str, bytes] | list[tuple[str, bytes]]) -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        warnings.simplefilter("ignore")  # duplicate names are meant here
        for name, content in entries.items() if isinstance(entries, Mapping) else entries:
            # Set afterwards: the constructor tidies names.
            info = zipfile.ZipInfo("x")
            info.filename = name
            archive.writestr(info, content, zipfile.ZIP_DEFLATED)
    return file.getvalue()


class Unpacking:
    def __init__(self, folder: Path) -> None:
        self.archive = folder / "a.zip"
        self.into = folder / "in" / "to"
        self.into.mkdir(parents=True)
        self.folder = folder

    def __call__(
        self, content: bytes, limits: ArchiveLimits = LIMITS
    ) -> tuple[dict[str, bytes], dict[str, str]]:
        self.archive.write_bytes(content)
        taken, refused = unpack(self.archive, self.into, limits=limits)
        return {file.name: file.path.read_bytes() for file in taken}, {
            file.name: file.error.code for file in refused
        }

    def assert_nothing_left(self) -> None:
        assert list(self.into.iterdir()) == []
        assert {path.name for path in self.folder.rglob("*")} <= {"a.zip", "in", "to"}


@pytest.fixture
def unpacking(tmp_path: Path) -> Unpacking:
    return Unpacking(tmp_path)


def test_files_come_out_with_their_folders_and_litter_stays_in(unpacking: Unpacking) -> None:
    taken, refused = unpacking(
        packed(
            {
                "matt/1.txt": b"one",
                "matt/deep/2.txt": b"two",
                "matt/": b"",
                "__MACOSX/matt/._1.txt": b"x",
                ".DS_Store": b"x",
                "matt/._1.txt": b"x",
                "matt/.3.txt": b"three",
                "matt/.git/config": b"x",
                "matt/Thumbs.db": b"x",
                "matt/inner.zip": packed({"3.txt": b"three"}),
            }
        )
    )
    assert taken.keys() == {"matt/1.txt", "matt/deep/2.txt", "matt/.3.txt", "matt/inner.zip"}
    assert taken["matt/deep/2.txt"] == b"two"
    assert refused == {}


def test_a_path_twice_is_refused_alone_and_no_name_is_too_odd(unpacking: Unpacking) -> None:
    odd = f"{'n' * 300}.txt"
    taken, refused = unpacking(
        packed(
            [
                ("a/1.txt", b"first"),
                ("a/1.txt", b"second"),
                ("b/1.txt", b"other"),
                ("-rf.txt", b"x"),
                (odd, b"x"),
            ]
        )
    )
    assert taken == {"a/1.txt": b"first", "b/1.txt": b"other", "-rf.txt": b"x", odd: b"x"}
    assert refused == {"a/1.txt": ErrorCode.CONFLICT}


def test_backslashes_separate(unpacking: Unpacking) -> None:
    taken, _ = unpacking(packed({"a\\": b"", "a\\1.txt": b"one", "a\\b/2.txt": b"two", ".\\3.txt": b"three"}))
    assert taken == {"a/1.txt": b"one", "a/b/2.txt": b"two", "3.txt": b"three"}


def packed_by_windows(names: list[str], page: str) -> bytes:
    """Return a zip whose names are written in a code page, which its entries do not say."""
    plain = [f"{place:02d}".ljust(len(name.encode(page)), "x") for place, name in enumerate(names)]
    content = packed({name: name.encode() for name in plain})
    for name, stand_in in zip(names, plain, strict=True):
        content = content.replace(stand_in.encode() + b"PK", name.encode(page) + b"PK")
        content = content.replace(stand_in.encode(), name.encode(page))
    return content


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("cp437", ["Größe/Müller.png", "Größe/Müller.txt"]),
        ("cp866", ["Фото/кошка.png", "Фото/кошка.txt"]),
        ("cp932", ["写真/ソフト表.png", "写真/能.txt"]),
        ("gbk", ["照片/图片1.png", "照片/图片1.txt"]),
        ("cp1251", ["Фото/кошка.png", "Фото/кошка.txt"]),
        ("cp1252", ["crème brûlée.png", "crème brûlée.txt"]),
        ("utf-8", ["猫/кошка.png", "猫/café.txt"]),
    ],
)
def test_names_in_a_code_page_are_read_as_they_were_written(
    unpacking: Unpacking, page: str, names: list[str]
) -> None:
    taken, refused = unpacking(packed_by_windows(names, page))
    assert (list(taken), refused) == (names, {})


def test_a_unicode_name_beside_one_in_a_code_page_counts(unpacking: Unpacking) -> None:
    raw, name = b"\x82\x82.txt", "猫猫.txt"
    extra = struct.pack("<BL", 1, zlib.crc32(raw)) + name.encode()
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        info = zipfile.ZipInfo("xx.txt")
        info.extra = struct.pack("<HH", 0x7075, len(extra)) + extra
        archive.writestr(info, b"x")
    taken, _ = unpacking(file.getvalue().replace(b"xx.txt", raw))
    assert list(taken) == [name]


def tarred(entries: Mapping[str, bytes], mode: Literal["w", "w:gz"] = "w", **fields: Any) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode, format=tarfile.GNU_FORMAT) as archive:
        for name, content in entries.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            for key, value in fields.items():
                setattr(member, key, value)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


class TestTars:
    @pytest.mark.parametrize("mode", ["w", "w:gz"])
    def test_are_unpacked_like_zips(self, unpacking: Unpacking, mode: Literal["w", "w:gz"]) -> None:
        long = f"{'n' * 200}.txt"
        taken, refused = unpacking(
            tarred({"a/1.txt": b"one", "a/._1.txt": b"x", "b/кошка.txt": b"two", long: b"three"}, mode)
        )
        assert taken == {"a/1.txt": b"one", "b/кошка.txt": b"two", long: b"three"}
        assert refused == {}

    @pytest.mark.parametrize("name", ["../a.txt", "/etc/a.txt", "a/../../b.txt", "C:/a.txt"])
    def test_a_name_that_leads_outside_refuses_the_archive(self, unpacking: Unpacking, name: str) -> None:
        with pytest.raises(UnsafeArchive, match="leads outside"):
            unpacking(tarred({"good.txt": b"good", name: b"bad"}))
        unpacking.assert_nothing_left()

    @pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
    def test_links_and_devices_refuse_the_archive(self, unpacking: Unpacking, kind: bytes) -> None:
        with pytest.raises(UnsafeArchive, match="link or a device"):
            unpacking(tarred({"a.txt": b""}, type=kind, linkname="/etc/passwd"))
        unpacking.assert_nothing_left()

    def test_a_bomb_is_refused_unpacked(self, unpacking: Unpacking) -> None:
        with pytest.raises(UnsafeArchive, match="more bytes than is safe"):
            unpacking(tarred({"good.txt": b"good", "bomb.txt": bytes(9_000_000)}, "w:gz"))
        unpacking.assert_nothing_left()

    def test_a_header_that_would_fill_the_memory_is_refused(self, unpacking: Unpacking) -> None:
        with pytest.raises(UnsafeArchive, match="header"):
            unpacking(tarred({"a.txt": b"x" * 9_000_000}, type=tarfile.GNUTYPE_LONGNAME))

    def test_more_than_the_disk_holds_is_refused_unpacked(self, unpacking: Unpacking) -> None:
        with pytest.raises(InsufficientStorage, match="120 bytes"):
            unpacking(tarred({"a.txt": b"x" * 60, "b.txt": b"y" * 60}), ArchiveLimits(free_bytes=119))
        unpacking.assert_nothing_left()

    @pytest.mark.parametrize("mode", ["w", "w:gz"])
    def test_a_cut_off_one_leaves_nothing(self, unpacking: Unpacking, mode: Literal["w", "w:gz"]) -> None:
        noise = random.Random(1).randbytes(50_000)
        with pytest.raises(InvalidInput, match="damaged"):
            unpacking(tarred({"a.txt": noise, "b.txt": noise}, mode)[:70_000])
        unpacking.assert_nothing_left()


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"7z\xbc\xaf\x27\x1c" + bytes(100), "a 7z archive"),
        (b"Rar!\x1a\x07\x01\x00" + bytes(100), "a RAR archive"),
        (b"\xef\xbb\xbf<!DOCTYPE html><html><title>Sign in</title>", "a web page"),
        (gzip.compress(b"no tar", mtime=0), "a gzip file without a tar archive in it"),
        (bz2.compress(b"a tar, perhaps"), "a bzip2 file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "a pointer of Git LFS"),
    ],
)
def test_what_it_is_instead_is_said_with_what_to_send(
    unpacking: Unpacking, content: bytes, kind: str
) -> None:
    with pytest.raises(InvalidInput, match=kind) as caught:
        unpacking(content)
    assert caught.value.hint


@pytest.mark.parametrize(
    "name",
    [
        "../a.txt",
        "a/../../b.txt",
        "/etc/a.txt",
        "\\a.txt",
        "a\\..\\..\\b.txt",
        "..\\a.txt",
        "C:/a.txt",
        "C:a.txt",
        "a/..",
        "a.txt\0.png",
    ],
)
def test_a_name_that_leads_outside_refuses_the_archive(unpacking: Unpacking, name: str) -> None:
    with pytest.raises(UnsafeArchive, match="leads outside"):
        unpacking(packed({"good.txt": b"good", name: b"bad"}))
    unpacking.assert_nothing_left()


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
def test_links_and_devices_refuse_the_archive(unpacking: Unpacking, kind: int) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        info = zipfile.ZipInfo("link.txt")
        info.external_attr = (kind | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(UnsafeArchive, match="link or a device"):
        unpacking(file.getvalue())
    unpacking.assert_nothing_left()


def test_an_encrypted_entry_refuses_the_archive(unpacking: Unpacking) -> None:
    content = bytearray(packed({"a.txt": b"x"}))
    content[content.index(b"PK\1\2") + 8] |= 1
    with pytest.raises(UnsafeArchive, match="encrypted"):
        unpacking(bytes(content))


def test_an_unusual_method_refuses_the_archive(unpacking: Unpacking) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.txt", b"x" * 100)
    with pytest.raises(UnsafeArchive, match="unusual"):
        unpacking(file.getvalue())


def test_a_bomb_is_stopped_by_its_ratio(unpacking: Unpacking) -> None:
    with pytest.raises(UnsafeArchive, match="more bytes than it declares"):
        unpacking(packed({"good.txt": b"good", "bomb.txt": bytes(9_000_000)}))
    unpacking.assert_nothing_left()


def test_the_total_counts_what_is_declared(unpacking: Unpacking) -> None:
    with pytest.raises(UnsafeArchive, match="more than 100 bytes"):
        unpacking(
            packed({"a.txt": b"x" * 60, "b.txt": b"y" * 60}),
            ArchiveLimits(files=9, total_bytes=100, ratio=100),
        )


def test_an_archive_larger_than_the_disk_is_refused_unpacked(unpacking: Unpacking) -> None:
    with pytest.raises(InsufficientStorage, match="120 bytes"):
        unpacking(packed({"a.txt": b"x" * 60, "b.txt": b"y" * 60}), ArchiveLimits(free_bytes=119))
    unpacking.assert_nothing_left()


def test_a_lie_about_the_size_is_found_out(unpacking: Unpacking) -> None:
    content = bytearray(packed({"good.txt": b"good", "a.txt": b"x" * 50_000}))
    place = content.rindex(b"PK\1\2") + 24
    content[place : place + 4] = (10).to_bytes(4, "little")
    with pytest.raises((UnsafeArchive, InvalidInput)):
        unpacking(bytes(content))
    unpacking.assert_nothing_left()


def test_too_many_entries_are_refused_unread(unpacking: Unpacking) -> None:
    with pytest.raises(UnsafeArchive, match="too many entries"):
        unpacking(packed({f"{number}.txt": b"" for number in range(51)}))
    content = bytearray(packed({f"{number}.txt": b"" for number in range(51)}))
    place = content.rindex(b"PK\5\6")
    content[place + 8 : place + 12] = b"\1\0\1\0"
    with pytest.raises(UnsafeArchive, match="51 entries"):
        unpacking(bytes(content))
    unpacking.assert_nothing_left()


@pytest.mark.parametrize(
    "content", [b"", b"PK\3\4", b"a text", b"PK\5\6", packed({"a.txt": b"x" * 999})[:-30]]
)
def test_what_is_no_archive_is_said(unpacking: Unpacking, content: bytes) -> None:
    with pytest.raises(InvalidInput):
        unpacking(content)


def test_a_damaged_entry_leaves_nothing(unpacking: Unpacking) -> None:
    content = bytearray(packed({"a.txt": b"good", "b.txt": bytes(range(256)) * 40}))
    place = content.rindex(b"PK\3\4") + 60
    content[place : place + 20] = bytes(20)
    with pytest.raises(InvalidInput, match="damaged"):
        unpacking(bytes(content))
    unpacking.assert_nothing_left()


NAMES = st.one_of(
    st.text(max_size=12),
    st.lists(st.sampled_from(["..", ".", "a", "b.txt", "", "\\", "/", "C:"]), max_size=5).map("/".join),
)


@example([("0", b"")], [96])  # an entry that begins before the archive
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(NAMES, st.binary(max_size=40)), max_size=5),
    st.lists(st.integers(0, 1 << 16), max_size=3),
)
def test_nothing_ever_lands_outside(
    tmp_path_factory: pytest.TempPathFactory, entries: list[tuple[str, bytes]], damage: list[int]
) -> None:
    unpacking = Unpacking(tmp_path_factory.mktemp("archives"))
    try:
        content = bytearray(packed(entries))
    except (UnicodeEncodeError, ValueError):
        return
    for place in damage:
        content[place % len(content)] ^= 0xFF
    with contextlib.suppress(WorkerError):
        unpacking(bytes(content))
    for path in unpacking.into.iterdir():
        assert path.is_file()
        assert not path.name.startswith(".")
        path.unlink()
    unpacking.assert_nothing_left()
