from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import os
import shutil
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from tests.unit.actions.test_files import LORA, PROCESS_ID, Bench

from lorapod.files import archive_cache
from lorapod.records.status import ProcessStatus
from lorapod.storage.port import StoreUnavailable

TEXT = b"the same line\n" * 60


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "workspace")


def put_run(bench: Bench) -> None:
    run = f"output/{PROCESS_ID}/matt"
    bench.put(f"{run}/matt.safetensors", LORA)
    bench.put(f"{run}/matt_000000010.safetensors", LORA)
    bench.put(f"{run}/samples/1700000000000__000000010_0.jpg", b"picture")
    bench.put(f"{run}/_latent_cache/a.safetensors", b"cache")
    bench.put(f"{run}/.half.safetensors", b"half")
    bench.put(f"{run}/optimizer.pt", b"state")
    bench.put(f"processes/{PROCESS_ID}/config.yaml", b"name: matt\n")
    bench.put(f"processes/{PROCESS_ID}/record.json", b"{}")
    bench.put(f"logs/{PROCESS_ID}.log", TEXT)


async def fetch(bench: Bench, **fields: Any) -> tuple[zipfile.ZipFile, dict[str, Any]]:
    """The zip in as many parts as it takes, gone on from its own path, and the first answer."""
    first = await bench.ask("bulk_download", **fields)
    assert "error" not in first, first
    data, answer = base64.b64decode(first["data"]), first
    while not answer["eof"]:
        answer = await bench.ask("download_file", file_path=first["archive_path"], offset=len(data))
        data += base64.b64decode(answer["data"])
    assert hashlib.sha256(data).hexdigest() == first["sha256"]
    archive = zipfile.ZipFile(io.BytesIO(data))
    assert archive.testzip() is None
    return archive, first


def archives(bench: Bench) -> list[str]:
    """Every file on the shelf but locks."""
    folder = bench.workspace.output / archive_cache.FOLDER
    return [path.name for path in folder.glob("*") if path.suffix != ".lock"]


async def test_what_a_process_made_and_nothing_else(bench: Bench) -> None:
    put_run(bench)
    archive, answer = await fetch(bench, process_ids=[PROCESS_ID])
    packed = {entry.filename: entry.compress_type for entry in archive.infolist()}
    assert packed == {
        f"{PROCESS_ID}/config.yaml": zipfile.ZIP_DEFLATED,
        f"{PROCESS_ID}/matt.safetensors": zipfile.ZIP_STORED,
        f"{PROCESS_ID}/matt_000000010.safetensors": zipfile.ZIP_STORED,
        f"{PROCESS_ID}/samples/1700000000000__000000010_0.jpg": zipfile.ZIP_STORED,
        f"{PROCESS_ID}/training.log": zipfile.ZIP_DEFLATED,
    }
    assert archive.read(f"{PROCESS_ID}/training.log") == TEXT
    assert answer["file_count"] == 5
    assert answer["content_type"] == "application/zip"


async def test_a_process_that_has_made_nothing_or_does_not_exist(bench: Bench) -> None:
    bench.processes.status = ProcessStatus.QUEUED
    assert (await bench.ask("bulk_download", process_ids=[PROCESS_ID]))["code"] == "not_found"
    assert (await bench.ask("bulk_download", process_ids=["train_ffffffffffff"]))["code"] == "not_found"
    assert (await bench.ask("bulk_download"))["code"] == "invalid_input"
    assert archives(bench) == []


async def test_folders_and_files_each_once_and_no_archives_in_archives(bench: Bench) -> None:
    bench.put("output/x/a.txt", b"a")
    bench.put("output/x/deep/b.png", b"b")
    bench.put("output/x/.hidden", b"h")
    await fetch(bench, file_paths=["output/x"])
    archive, _ = await fetch(bench, file_paths=["output", "output/x/a.txt", "/workspace/output/x/deep"])
    assert archive.namelist() == ["output/x/a.txt", "output/x/deep/b.png"]


async def test_names_are_relative_and_unique_on_every_system(bench: Bench) -> None:
    bench.put("output/x\\..\\evil.txt", b"1")
    bench.put("output/x_.._evil.txt", b"2")
    archive, _ = await fetch(bench, file_paths=["output/x\\..\\evil.txt", "output/x_.._evil.txt"])
    assert {name: archive.read(name) for name in archive.namelist()} == {
        "output/x_.._evil.txt": b"1",
        "output/x_.._evil (2).txt": b"2",
    }


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("../secret", "unsafe_path"),
        ("output/link", "unsafe_path"),
        (".digests/x", "not_found"),
        ("output/missing", "not_found"),
        ("models", "not_found"),
    ],
)
async def test_a_path_that_must_not_be_read_is_refused(
    bench: Bench, tmp_path: Path, path: str, code: str
) -> None:
    (tmp_path / "secret").write_text("secret")
    (bench.workspace.output / "link").symlink_to(tmp_path / "secret")
    bench.put(".digests/x", b"x")
    bench.put("output/x/a.txt", b"a")
    answer = await bench.ask("bulk_download", file_paths=["output/x", path])
    assert answer["code"] == code
    assert archives(bench) == []


async def test_the_same_request_builds_once_until_a_file_changes(bench: Bench) -> None:
    put_run(bench)
    _, first = await fetch(bench, process_ids=[PROCESS_ID])
    built = (bench.workspace.root / first["archive_path"]).stat()
    _, again = await fetch(bench, process_ids=[PROCESS_ID])
    assert again["archive_path"] == first["archive_path"]
    assert (bench.workspace.root / first["archive_path"]).stat().st_ino == built.st_ino
    bench.put(f"logs/{PROCESS_ID}.log", TEXT + b"more\n")
    archive, other = await fetch(bench, process_ids=[PROCESS_ID])
    assert other["archive_path"] != first["archive_path"]
    assert archive.read(f"{PROCESS_ID}/training.log").endswith(b"more\n")
    # Built again after it was removed, it has the same bytes.
    (bench.workspace.root / other["archive_path"]).unlink()
    _, rebuilt = await fetch(bench, process_ids=[PROCESS_ID])
    assert (rebuilt["archive_path"], rebuilt["sha256"]) == (other["archive_path"], other["sha256"])


async def test_two_workers_asked_at_once_give_one_archive(bench: Bench) -> None:
    put_run(bench)
    other = Bench(bench.workspace.root)
    asked = [worker.ask("bulk_download", process_ids=[PROCESS_ID]) for worker in [bench, other] * 4]
    answers = await asyncio.gather(*asked)
    assert len({(answer["archive_path"], answer["sha256"]) for answer in answers}) == 1
    assert len(archives(bench)) == 1


async def test_too_large_or_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path / "workspace")
    bench.put("output/x/a.bin", bytes(100_000))
    answer = await bench.ask("bulk_download", file_paths=["output/x/a.bin"])
    assert answer["code"] == "too_large"
    bench.put("output/x/a.bin", bytes(1000))
    full = type("Usage", (), {"free": 1500})
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: full)
    answer = await bench.ask("bulk_download", file_paths=["output/x/a.bin"])
    assert answer["code"] == "insufficient_storage"
    assert archives(bench) == []


async def test_old_archives_and_what_builds_left_behind_go(bench: Bench) -> None:
    bench.put("output/x/a.txt", b"a")
    shelf = bench.workspace.output / archive_cache.FOLDER
    shelf.mkdir()
    old_s = time.time() - archive_cache.KEEP_S - 60
    for name in ("archive_1.zip", ".archive_2.zip.0000.tmp", ".archive_3.zip.lock"):
        (shelf / name).touch()
        os.utime(shelf / name, (old_s, old_s))
    for number in range(archive_cache.KEEP_MOST + 5):
        (shelf / f"archive_n{number}.zip").touch()
    _, answer = await fetch(bench, file_paths=["output/x/a.txt"])
    left = set(archives(bench))
    assert len(left) == archive_cache.KEEP_MOST
    assert Path(answer["archive_path"]).name in left
    assert not {"archive_1.zip", ".archive_2.zip.0000.tmp"} & left
    assert not (shelf / ".archive_3.zip.lock").exists()


async def test_an_address_costs_one_upload(bench: Bench) -> None:
    put_run(bench)
    wish = {"process_id": PROCESS_ID, "as": "url"}
    bench = Bench(bench.workspace.root, bucket_name="bucket", url_expires_s=600)
    uploads: list[str] = []
    put_file = bench.store.put_file

    def counting(path: Path, key: str, **options: Any) -> Any:
        uploads.append(key)
        return put_file(path, key, **options)

    bench.store.put_file = counting  # type: ignore[method-assign]
    first, again = await asyncio.gather(bench.ask("download", **wish), bench.ask("download", **wish))
    assert first["sha256"] == hashlib.sha256(LORA).hexdigest()
    assert uploads == [f"{first['sha256']}/matt.safetensors"]
    assert "data" not in first
    assert first["eof"]
    assert first["expires_at"] > "2026"
    assert again["url"].split("?")[0] == first["url"].split("?")[0]
    zipped = await bench.ask("bulk_download", process_ids=[PROCESS_ID], **{"as": "url"})
    assert (zipped["url"], zipped["archive_path"]) == (zipped["url"], zipped["file_path"])
    assert len(uploads) == 2
    # Whoever empties the bucket is not left with addresses of nothing.
    bench.store.delete(uploads[0])
    assert "url" in await bench.ask("download", **wish)
    assert len(uploads) == 3
    bench.store.failure = StoreUnavailable("The store does not answer.")
    assert (await bench.ask("download", **wish))["code"] == "upstream_error"
