"""What takes the space of the workspace: counted once, by kind, in a bounded pass."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lorapod.telemetry import volume
from lorapod.telemetry.volume import VolumeMeter
from lorapod.testing.clock import FakeClock
from lorapod.workspace import Workspace


class VolumeBench:
    """A workspace with files of known sizes."""

    def __init__(self, root: Path) -> None:
        self.workspace = Workspace.create(root)
        self.clock = FakeClock()
        self.meter = VolumeMeter(self.workspace, self.clock)

    def put(self, name: str, size_bytes: int) -> Path:
        path = self.workspace.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size_bytes)
        return path

    def parts(self) -> dict[str, tuple[int, int]]:
        return {part.name: (part.size_bytes, part.files) for part in self.meter.measure().parts}


@pytest.fixture
def bench(tmp_path: Path) -> VolumeBench:
    return VolumeBench(tmp_path / "workspace")


def test_every_file_is_counted_once_by_its_kind(bench: VolumeBench) -> None:
    for name, size_bytes in (
        ("training_data/cats/1.png", 100),
        ("training_data/cats/_latent_cache/1.safetensors", 7),
        ("output/train_0123456789ab/m/m.safetensors", 1000),
        ("output/archives/a.zip", 11),
        ("training_session_1700000000/output/m.safetensors", 2000),
        ("models/checkpoints/base.safetensors", 5000),
        ("logs/train_0123456789ab.log", 13),
        ("processes/train_0123456789ab/record.json", 17),
        (".trash/1/0", 19),
        (".environments/key/build/x", 23),
        ("ComfyUI/main.py", 29),
        ("my notes/a.txt", 31),
    ):
        bench.put(name, size_bytes)
    original = bench.put("models/loras/a.safetensors", 50)
    os.link(original, original.with_name("b.safetensors"))
    original.with_name("c.safetensors").symlink_to(original)
    link_bytes = original.with_name("c.safetensors").lstat().st_size
    assert bench.parts() == {
        "models": (5050 + link_bytes, 3),
        "outputs": (3000, 2),
        "datasets": (100, 1),
        "caches": (7, 1),
        "archives": (11, 1),
        "logs": (13, 1),
        "records": (17, 1),
        "trash": (19, 1),
        "environments": (23, 1),
        "programs": (29, 1),
        "other": (31, 1),
    }


def test_the_largest_are_what_a_person_would_delete(bench: VolumeBench) -> None:
    bench.put("training_data/cats/1.png", 100)
    bench.put("training_data/cats/sub/2.png", 100)
    bench.put("output/train_0123456789ab/m/m.safetensors", 1000)
    bench.put("models/checkpoints/base.safetensors", 5000)
    bench.put("models/checkpoints/flux/part.safetensors", 3000)
    found = [(entry.path, entry.size_bytes) for entry in bench.meter.measure().largest]
    assert found == [
        ("models/checkpoints/base.safetensors", 5000),
        ("models/checkpoints/flux", 3000),
        ("output/train_0123456789ab", 1000),
        ("training_data/cats", 200),
    ]


def test_a_measurement_is_kept_for_other_workers_and_for_a_while(bench: VolumeBench) -> None:
    bench.put("training_data/cats/1.png", 100)
    first = bench.meter.measure()
    bench.put("training_data/cats/2.png", 100)
    bench.clock.advance(30)
    assert VolumeMeter(bench.workspace, bench.clock).kept() == first
    assert bench.meter.measure(max_age_s=60) == first
    assert bench.meter.measure(max_age_s=20).parts[0].size_bytes == 200


def test_a_pass_is_bounded_and_says_so(bench: VolumeBench, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        bench.put(f"training_data/cats/{number}.png", 1)
    monkeypatch.setattr(volume, "FILES_MAX", 3)
    usage = bench.meter.measure()
    assert (usage.complete, usage.parts[0].files) == (False, 3)


def test_health_shows_what_is_kept_and_has_it_measured(bench: VolumeBench) -> None:
    bench.put("training_data/cats/1.png", 100)
    assert bench.meter.latest() is None
    volume._PASSES.submit(lambda: None).result(10)
    kept = bench.meter.latest()
    assert kept is not None
    assert kept.parts[0].size_bytes == 100


def test_a_damaged_or_unwritable_file_costs_nothing(
    bench: VolumeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.put("processes/.usage.json", 5)
    assert bench.meter.kept() is None

    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(volume, "replace_file", full)
    assert bench.meter.measure().complete
