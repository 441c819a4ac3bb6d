"""Fifty thousand hostile inputs over addresses, paths, names, archives and uploads: no escape, no crash, no leftover."""

from __future__ import annotations

import base64
import io
import random
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.benchmarks.report import Report
from tests.unit.datasets.library_bench import LibraryBench, incoming, picture

from lorapod.datasets.naming import Folders, NamePlan
from lorapod.errors import UnsafeUrl, WorkerError
from lorapod.safety.archives import unpack
from lorapod.safety.unpacking import ArchiveLimits
from lorapod.safety.urls import check_url, is_public, shown_url
from lorapod.workspace import Workspace

pytestmark = [
    pytest.mark.benchmark,
    pytest.mark.timeout(1200),
    # The zips are made with names twice, on purpose.
    pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning"),
]

HOSTS = (
    "127.0.0.1 2130706433 0x7f.1 0177.0.0.1 127.1 [::1] [::ffff:7f00:1] [64:ff9b::7f00:1] 169.254.169.254 localhost. "
    "example.com 8.8.8.8 [2606:4700::1111] 100.64.0.1 xn--n3h.example ①②⑦.0.0.1"
).split()
PARTS = (
    ".. . ... / // \\ \0 ~ a a.png é 猫 .hidden __MACOSX Thumbs.db C: %2e%2e -rf CON nul $(id) `id` '\" * ? : "
    "\n \r \x1b[2J \u202e \ud800 training_data output workspace"
).split(" ")
SEPARATORS = ("/", "/", "\\", "", "//", "/./")


def hostile_url(dice: random.Random) -> str:
    text = "".join(
        (
            dice.choice(("http", "https", "HTTPS", "file", "ftp", "gopher", "", "http\t")),
            dice.choice(("://", ":", ":/", "://", "://", ":\\\\")),
            dice.choice(("", "", "user:secret@", "a@b@", "example.com#@", "%00@", ":@")),
            dice.choice(HOSTS),
            dice.choice(("", "", ":80", ":0", ":99999", ":22", ":x", ".")),
            dice.choice(("", "/", "/a?token=secret", "#@8.8.8.8", "\\@8.8.8.8", "/%2e%2e/", "?@8.8.8.8")),
        )
    )
    return mutated(text, dice)


def hostile_path(dice: random.Random) -> str:
    return "".join(dice.choice(PARTS) + dice.choice(SEPARATORS) for _ in range(dice.randint(1, 8)))


def mutated(text: str, dice: random.Random) -> str:
    if dice.random() < 0.5:
        return text
    place = dice.randrange(len(text) + 1)
    return (
        text[:place] + chr(dice.choice((0, 9, 10, 13, 32, 47, 58, 64, 91, 92, 0xFF11, 0x3002))) + text[place:]
    )


def hostile_zip(dice: random.Random) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", dice.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        for _ in range(dice.randint(0, 4)):
            name = hostile_path(dice).encode("utf-8", "replace").decode()
            entry = zipfile.ZipInfo(name or "x")
            kind = dice.choice((0, stat.S_IFREG, stat.S_IFREG, stat.S_IFLNK, stat.S_IFCHR, stat.S_IFDIR))
            entry.external_attr = (kind | 0o644) << 16
            entry.compress_type = archive.compression
            archive.writestr(entry, dice.choice((b"", b"../../escape", picture(), bytes(100_000))))
    data = bytearray(file.getvalue())
    for _ in range(dice.choice((0, 0, 1, 5, 30))):
        data[dice.randrange(len(data))] = dice.randrange(256)
    return bytes(data[: dice.choice((len(data), len(data), dice.randrange(len(data) + 1)))])


class Ground:
    """A folder in which everything may happen but outside of whose workspace nothing may."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.bench = LibraryBench(root / "workspace")
        self.unpacked = root / "unpacked"
        self.unpacked.mkdir()
        (root / "outside").mkdir()

    def url(self, dice: random.Random) -> None:
        text = hostile_url(dice)
        url = check_url(text)
        host = url.raw_host or ""
        assert url.scheme in {"http", "https"}
        assert host.isascii()
        assert is_public(host) or not host.replace(".", "").isdigit()
        shown = shown_url(url)
        assert "@" not in shown.partition("://")[2].partition("/")[0]
        assert "?" not in shown

    def path(self, dice: random.Random) -> None:
        workspace = Workspace(root=self.bench.workspace.root)
        assert workspace.safe_path(hostile_path(dice)).is_relative_to(workspace.root)

    def names(self, dice: random.Random) -> None:
        paths = [hostile_path(dice) for _ in range(3)]
        names = NamePlan.of(paths, folders=dice.choice(list(Folders))).names
        assert len(set(names)) == 3
        folder = self.bench.folder
        for name in names:
            assert (folder / name).resolve().is_relative_to(folder)
            assert not Path(name).name.startswith(".")
            assert len(Path(name).name.encode()) <= 255

    def archive(self, dice: random.Random) -> None:
        packed, into = self.root / "a.zip", self.unpacked / "into"
        into.mkdir()
        packed.write_bytes(hostile_zip(dice))
        try:
            unpack(packed, into, limits=ArchiveLimits(total_bytes=300_000))
            assert all(path.is_file() and not path.is_symlink() for path in into.iterdir())
        except WorkerError:
            assert list(into.iterdir()) == []
            raise
        finally:
            packed.unlink()
            for path in into.iterdir():
                path.unlink()
            into.rmdir()

    def upload(self, dice: random.Random) -> None:
        content = dice.choice((picture(), b"text", b"", hostile_zip(dice), dice.randbytes(50)))
        text = base64.b64encode(content).decode()
        name = dice.choice(("a.png", "a.txt", "a.zip", "a.mp4", hostile_path(dice)))
        self.bench.receive(incoming(name, mutated(text, dice)))

    def check(self) -> None:
        assert {path.name for path in self.root.iterdir()} == {"workspace", "unpacked", "outside"}
        assert not any((self.root / "outside").iterdir())
        assert not any(self.unpacked.iterdir())
        assert self.bench.hidden() == []


def test_fifty_thousand_inputs(tmp_path: Path, report: Report) -> None:
    ground, dice = Ground(tmp_path), random.Random(4)
    work: list[tuple[int, Callable[[random.Random], None]]] = [
        (20_000, ground.url),
        (12_000, ground.path),
        (8_000, ground.names),
        (7_000, ground.archive),
        (3_000, ground.upload),
    ]
    refused = 0
    for count, attempt in work:
        for _ in range(count):
            try:
                attempt(dice)
            except (UnsafeUrl, WorkerError):
                refused += 1
        ground.check()
    report(
        "Hostile inputs of 50,000 that were refused, without a harm", refused, at_least=10_000, at_most=49_999
    )
