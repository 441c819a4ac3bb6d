from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from lorapod.scratch import Scratch

HOLD = (
    "import pathlib, sys\n"
    "from lorapod.scratch import Scratch\n"
    "scratch = Scratch.open(pathlib.Path(sys.argv[1]))\n"
    "(scratch.path / 'inputs').mkdir()\n"
    "(scratch.path / 'inputs/image.png').write_bytes(b'a face')\n"
    "print(scratch.path, flush=True)\n"
    "sys.stdin.read()\n"
)


def test_what_a_killed_worker_has_left_is_gone_with_the_next_ones_start(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        left = Path(worker.stdout.readline().strip())
        mine = Scratch.open(tmp_path)

        mine.sweep()
        assert (left / "inputs/image.png").read_bytes() == b"a face"
        worker.kill()
        worker.wait(30)
        mine.sweep()

    assert not left.exists()
    assert mine.path.is_dir()
    mine.close()


def test_workers_of_one_process_leave_each_other_alone(tmp_path: Path) -> None:
    first, second = Scratch.open(tmp_path), Scratch.open(tmp_path)

    second.sweep()

    assert first.path != second.path
    assert first.path.is_dir()
    first.close()
    second.close()
    second.close()
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_a_workers_stays(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    root = tmp_path / "scratch"
    root.mkdir()
    (root / "worker-file").write_bytes(b"x")
    (root / "worker-link").symlink_to(elsewhere)
    (root / "other").mkdir()
    scratch = Scratch.open(root)

    scratch.sweep()
    scratch.close()

    assert sorted(path.name for path in root.iterdir()) == ["other", "worker-file", "worker-link"]
    assert elsewhere.is_dir()
