"""A workspace on a real disk that runs full (2 MB): what is told, and that nothing half-written stays."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.integration.processes.test_uploads import Attempt, eventually, on_disk

from lorapod.settings import Settings
from lorapod.storage.mirror import artifact, mirror
from lorapod.storage.mirror.ledger import ledgers_of
from lorapod.testing.trainer import ScriptTrainer
from lorapod.trainers.registry import TrainerRegistry
from lorapod.worker import Worker

NOISE = random.Random(5).randbytes(1_200_000)


class UnforeseenUsage:
    free = 1 << 50


@pytest.fixture
def attempt(small_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Attempt]:
    monkeypatch.setattr(artifact, "DEBOUNCE_S", 0.2)
    monkeypatch.setattr(mirror, "FIRST_WAIT_S", 0.1)
    monkeypatch.setattr(mirror, "LONGEST_WAIT_S", 0.2)
    settings = Settings(
        workspace_path=small_root,
        scratch_path=tmp_path / "scratch",
        disk_min_free_bytes=0,
        upload_grace_s=0.5,
    )
    worker = Worker.create(settings, trainers=TrainerRegistry([ScriptTrainer()]))
    worker.start()
    yield Attempt(worker)
    worker.close()


def below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("foreseen", [True, False])
async def test_an_archive(attempt: Attempt, monkeypatch: pytest.MonkeyPatch, *, foreseen: bool) -> None:
    root = attempt.workspace.root
    (root / "models").mkdir(exist_ok=True)
    (root / "models/a.safetensors").write_bytes(NOISE)
    if not foreseen:
        # Another process fills the disk after the worker has looked.
        monkeypatch.setattr(shutil, "disk_usage", lambda _: UnforeseenUsage)
    answer: dict[str, Any] = await attempt.ask("bulk_download", file_paths=["models/a.safetensors"])
    assert answer["code"] == "insufficient_storage"
    assert ("bytes free" if foreseen else "ran full") in answer["error"]
    assert not [name for name in below(root / "output") if not name.endswith(".lock")]
    monkeypatch.undo()
    (root / "models/a.safetensors").write_bytes(NOISE[:200_000])
    later = await attempt.ask("bulk_download", file_paths=["models/a.safetensors"])
    assert later["eof"], later


async def test_a_mirror_into_a_folder(attempt: Attempt) -> None:
    root = attempt.workspace.root
    upload = {"local": {"path": "bucket"}}
    started = await attempt.train(upload, wait=False, steps=100_000, save_every=500, step_s=0.01)
    process_id = started["process_id"]
    await eventually((root / "bucket/cat/checkpoints/cat_000000500.safetensors").exists)
    filler = root / "filler"
    filler.write_bytes(b"x" * (shutil.disk_usage(root).free - 600_000))
    large = attempt.workspace.output_folder(process_id) / "cat" / "samples" / "1__000000500_0.png"
    large.parent.mkdir(exist_ok=True)
    large.write_bytes(NOISE[:500_000])

    await eventually(lambda: bool(failures(attempt, process_id)))
    assert failures(attempt, process_id).keys() == {"cat/samples/1__000000500_0.png"}
    assert not (root / "bucket/cat/samples").exists() or below(root / "bucket/cat/samples") == []
    filler.unlink()
    await attempt.ask("cancel", process_id=process_id)
    await eventually(lambda: attempt.worker.services.mirrors.finished(process_id))
    now = (await attempt.ask("process_status", process_id=process_id))["uploads"]
    assert (now["pending"], now["failed"]) == (0, [])
    kept = {**on_disk(attempt.workspace, process_id), "cat/samples/1__000000500_0.png": NOISE[:500_000]}
    there = {name: (root / "bucket" / name).read_bytes() for name in below(root / "bucket")}
    assert there == kept


def failures(attempt: Attempt, process_id: str) -> dict[str, str]:
    [(_, ledger)] = ledgers_of(attempt.workspace, process_id)
    return dict(ledger.failed)


def fill(root: Path, free: int) -> Path:
    """Take all but about `free` bytes of the disk; return the file that takes them."""
    filler = root / "filler"
    filler.write_bytes(b"x" * max(0, shutil.disk_usage(root).free - free))
    return filler


def small_dataset(root: Path) -> dict[str, bytes]:
    """Make a dataset of six images with captions; return its files."""
    folder = root / "training_data/cats"
    folder.mkdir(parents=True)
    for number in range(6):
        Image.new("RGB", (96, 96), (number * 40, 90, 200)).save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text(f"a cat, number {number}")
    return contents(folder)


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in below(folder)}


@pytest.mark.expects_errors("disk or network failed")
async def test_an_edit_and_its_undo(attempt: Attempt) -> None:
    root = attempt.workspace.root
    before = small_dataset(root)
    folder = root / "training_data/cats"
    longer = [{"op": "append", "text": ", on a sofa" * 3000}]
    filler = fill(root, 60_000)

    refused = await attempt.ask("edit_dataset", training_name="cats", operations=longer)
    assert refused["code"] == "insufficient_storage", refused
    assert contents(folder) == before

    filler.unlink()
    edited = await attempt.ask("edit_dataset", training_name="cats", operations=longer)
    after = contents(folder)
    assert after != before
    filler = fill(root, 0)
    undone = await attempt.ask("edit_dataset", training_name="cats", undo=edited["edit_id"])
    # Taking an edit back needs little room: it is done, or told and nothing has changed.
    assert (undone.get("code"), contents(folder)) in [(None, before), ("insufficient_storage", after)]
    filler.unlink()
    if "code" in undone:
        undone = await attempt.ask("edit_dataset", training_name="cats", undo=edited["edit_id"])
    assert contents(folder) == before, undone


async def test_the_page_of_a_dataset(attempt: Attempt) -> None:
    root = attempt.workspace.root
    small_dataset(root)
    filler = fill(root, 0)
    page = await attempt.ask("dataset", training_name="cats")
    assert len(page["items"]) == 6, page
    assert all(item["thumbnail"].startswith("data:image/webp") for item in page["items"])
    filler.unlink()
    assert (await attempt.ask("dataset", training_name="cats"))["items"] == page["items"]
