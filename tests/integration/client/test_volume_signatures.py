"""Every request to a volume on a server that checks signatures as Amazon's does (SeaweedFS)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.servers.s3_server import BUCKET, KEY_ID, SECRET_KEY, RunningS3

from lorapod.client import LorapodError, multipart
from lorapod.client.multipart import send_file
from lorapod.client.volume import Volume, VolumeAccess
from lorapod.client.volume_download import download_from_volume

ODD = "a b+c/ü # 100% (1) [2] ~=&?/kätzchen'\"!*.txt"


@pytest.fixture
def opened(s3_server: RunningS3) -> Iterator[Volume]:
    access = VolumeAccess(
        volume=BUCKET,
        folder="signatures",
        endpoint_url=s3_server.url,
        region="us-east-1",
        access_key=KEY_ID,
        secret_key=SECRET_KEY,
    )
    with Volume(access) as volume:
        yield volume


def test_names_of_all_kinds_are_written_listed_and_read(opened: Volume, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")

    send_file(opened.bucket, opened.files.key(Path(ODD)), tmp_path / "file")

    (found,) = opened.files.below(Path("a b+c"))
    assert found.path == Path(ODD)
    assert found.state().size_bytes == 10
    assert [entry.name for entry in opened.files.entries(Path("a b+c"))] == [Path(ODD).parts[1]]
    assert opened.files.read(found.path, offset=2, length=3).data == b"234"
    assert opened.files.read(found.path, offset=-3).data == b"789"
    assert opened.files.read(found.path, offset=100, length=3).data == b""
    assert opened.files.state(found.path).size_bytes == 10


def test_a_large_file_goes_and_comes_in_parts(
    opened: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multipart, "PART_BYTES", 5 << 20)
    monkeypatch.setattr("lorapod.client.bucket_files.PART_BYTES", 1 << 20)
    content = bytes(range(256)) * (11 << 12)
    (tmp_path / "large").write_bytes(content)

    send_file(opened.bucket, opened.files.key(Path("large")), tmp_path / "large")

    arrived = download_from_volume(opened.files, Path("large"), tmp_path / "arrived")
    assert arrived.read_bytes() == content


def test_a_download_goes_on_where_it_broke_off(
    opened: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lorapod.client.bucket_files.PART_BYTES", 1000)
    content = bytes(range(250)) * 40
    (tmp_path / "file").write_bytes(content)
    send_file(opened.bucket, opened.files.key(Path("resumed")), tmp_path / "file")
    asked: list[int] = []
    read = opened.files.read

    def counted(path: Path, *, offset: int = 0, length: int | None = None) -> object:
        asked.append(offset)
        return read(path, offset=offset, length=length)

    monkeypatch.setattr(opened.files, "read", counted)
    (tmp_path / "arrived.part").write_bytes(content[:4500])
    arrived = download_from_volume(opened.files, Path("resumed"), tmp_path / "arrived")
    assert arrived.read_bytes() == content
    assert min(asked) == 4500

    (tmp_path / "other.part").write_bytes(b"of another file" * 100)
    asked.clear()
    arrived = download_from_volume(opened.files, Path("resumed"), tmp_path / "other")
    assert arrived.read_bytes() == content
    assert min(asked) == 0


def test_a_wrong_secret_is_refused_and_not_shown(s3_server: RunningS3) -> None:
    access = VolumeAccess(
        volume=BUCKET,
        endpoint_url=s3_server.url,
        region="us-east-1",
        access_key=KEY_ID,
        secret_key="a-wrong-secret",
    )
    with Volume(access) as volume, pytest.raises(LorapodError) as refused:
        volume.files.state(Path("any"))

    assert "a-wrong-secret" not in str(refused.value)
