"""Real builders, real virtual environments, real pip; the packages come from a folder."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.integration.fast.local_index import pip_environment, put_gated, put_heavy, put_lock, put_wheel

from lorapod.fast.building.environments import EnvironmentSpec, EnvironmentStore
from lorapod.fast.building.turn import FOLDER
from lorapod.fast.settings import BACKEND

DEADLINE_S = 100.0
LEASE_S = 2.0


class Builder:
    """One child, as a worker has it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def end(self) -> dict[str, Any]:
        """What it said last."""
        assert self.process.stdout is not None
        lines = self.process.stdout.read().splitlines()
        assert self.process.wait(DEADLINE_S) == 0
        return dict(json.loads(lines[-1]))


class Yard:
    """A volume, an index and a lock."""

    def __init__(self, folder: Path) -> None:
        self.index = folder / "index"
        self.gate = folder / "gate"
        self.lock = folder / "lock.txt"
        self.environments = folder / "volume/.environments"
        self.builders: list[Builder] = []
        put_heavy(self.index)
        put_lock(self.lock, "heavy==1.0")

    @property
    def store(self) -> EnvironmentStore:
        spec = EnvironmentSpec(lock=self.lock, backend=BACKEND, environments=self.environments)
        return EnvironmentStore(spec)

    @property
    def builds(self) -> list[Path]:
        return sorted(self.store.folder.glob("build_*"))

    def gated(self) -> None:
        """Have pip stand still in the midst of it."""
        put_gated(self.index, self.gate)
        put_lock(self.lock, "heavy==1.0", "gated==1.0")

    def start(
        self,
        *options: str,
        prefix: tuple[str, ...] = (),
        keep_free_bytes: int = 0,
        environment: Mapping[str, str] | None = None,
    ) -> Builder:
        argv = [
            *(*prefix, sys.executable, "-m", "lorapod.fast.building", str(self.lock), str(BACKEND)),
            *(str(self.environments), str(LEASE_S), str(keep_free_bytes), *options),
        ]
        process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, **pip_environment(self.index), **(environment or {})},
        )
        builder = Builder(process)
        self.builders.append(builder)
        return builder

    def told_of_turn(self) -> dict[str, Any]:
        """What the builder shows whose turn it is."""
        return dict(json.loads((self.store.folder / FOLDER / "news.json").read_bytes()))

    def until_in_pip(self) -> None:
        reached = self.gate.with_suffix(".reached")
        wait_for(reached.exists, "pip in the gated package")
        reached.unlink()


def wait_for(condition: Callable[[], Any], what: str) -> None:
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, f"not within {DEADLINE_S} s: {what}"
        time.sleep(0.02)


def group_is_gone(group: int) -> bool:
    alive = [
        process
        for process in psutil.process_iter()
        if process.status() != psutil.STATUS_ZOMBIE and _group_of(process.pid) == group
    ]
    return not alive


def _group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    yard = Yard(tmp_path)
    yield yard
    for builder in yard.builders:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(builder.process.pid, signal.SIGKILL)
        builder.process.wait()
        for stream in (builder.process.stdin, builder.process.stdout):
            if stream is not None:
                stream.close()


def test_an_environment_that_runs_the_worker(yard: Yard) -> None:
    python = Path(yard.start().end()["ready"])
    assert python.parent.parent in yard.builds
    told = subprocess.run(
        [str(python), "-I", "-c", "import lorapod, sys; print(lorapod.__file__, sys.prefix)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert told == [str(BACKEND / "lorapod/__init__.py"), str(python.parent.parent)]
    prepared = yard.store.ready()
    assert prepared is not None
    assert yard.store.python(prepared) == python
    assert prepared.packages == 1


def test_a_second_builder_finds_it(yard: Yard) -> None:
    first = yard.start().end()
    assert yard.start(environment={"PIP_FIND_LINKS": "/nowhere"}).end() == first
    assert len(yard.builds) == 1


def test_another_lock_is_another_environment(yard: Yard) -> None:
    first = yard.start().end()
    put_heavy(yard.index, version="2.0")
    put_lock(yard.lock, "heavy==2.0")
    second = yard.start().end()
    assert second["ready"] != first["ready"]
    assert Path(first["ready"]).exists()


def test_two_at_once_build_once(yard: Yard) -> None:
    yard.gated()
    first = yard.start()
    yard.until_in_pip()
    second = yard.start()
    assert second.process.stdout is not None
    told = json.loads(second.process.stdout.readline())
    assert told["elsewhere"] is True
    yard.gate.touch()
    assert first.end() == second.end()
    assert len(yard.builds) == 1


def test_a_worker_that_is_killed_leaves_the_turn_to_the_next(yard: Yard) -> None:
    """The kernel closes the pipe that the builder reads."""
    yard.gated()
    first = yard.start()
    yard.until_in_pip()
    assert first.process.stdin is not None
    first.process.stdin.close()
    assert first.process.wait(DEADLINE_S) == -signal.SIGKILL
    wait_for(lambda: group_is_gone(first.process.pid), "the end of pip")
    assert yard.store.ready() is None
    yard.gate.touch()
    second = Path(yard.start().end()["ready"])
    # What the first one left is swept away.
    assert yard.builds == [second.parent.parent]


def test_a_builder_that_is_killed_is_noticed(yard: Yard) -> None:
    yard.gated()
    first = yard.start()
    yard.until_in_pip()
    os.killpg(first.process.pid, signal.SIGKILL)
    yard.gate.touch()
    second = Path(yard.start().end()["ready"])
    assert yard.builds == [second.parent.parent]


def test_a_frozen_builder_harms_nobody_when_it_wakes(yard: Yard) -> None:
    yard.gated()
    first = yard.start()
    yard.until_in_pip()
    os.killpg(first.process.pid, signal.SIGSTOP)
    yard.gate.touch()
    second = yard.start().end()
    os.killpg(first.process.pid, signal.SIGCONT)
    assert first.end() == second
    prepared = yard.store.ready()
    assert prepared is not None
    assert str(yard.store.python(prepared)) == second["ready"]
    assert subprocess.run([second["ready"], "-I", "-c", "import lorapod.worker"], check=False).returncode == 0
    assert yard.builds == [Path(second["ready"]).parent.parent]


def test_a_frozen_builder_that_wakes_does_not_seize_the_turn_of_the_next(yard: Yard) -> None:
    yard.gated()
    first = yard.start()
    yard.until_in_pip()
    os.killpg(first.process.pid, signal.SIGSTOP)
    second = yard.start()
    yard.until_in_pip()
    told = yard.told_of_turn()
    os.killpg(first.process.pid, signal.SIGCONT)
    # While the second counts to three, the first, which counts as fast, has had its chance.
    while (now := yard.told_of_turn())["beat"] < told["beat"] + 3:
        assert now["token"] == told["token"]
        time.sleep(0.01)
    third = yard.start()
    assert third.process.stdout is not None
    assert json.loads(third.process.stdout.readline())["elsewhere"] is True
    yard.gate.touch()
    assert first.end() == second.end() == third.end()
    assert len(yard.builds) == 1
    assert not (yard.store.folder / FOLDER).exists()


def test_a_new_one_is_made_when_asked_and_the_old_one_stays_for_those_who_use_it(yard: Yard) -> None:
    first = Path(yard.start().end()["ready"])
    second = Path(yard.start("--again").end()["ready"])
    assert first != second
    assert first.exists()
    assert yard.start().end()["ready"] == str(second)


class TestFailures:
    def failed(self, yard: Yard, code: str, builder: Builder) -> str:
        told = builder.end()
        assert told["code"] == code, told
        assert told["hint"]
        # No half environment stays, and no turn.
        assert yard.builds == []
        assert yard.store.ready() is None
        assert not list(yard.store.folder.glob("*"))
        return str(told["error"])

    def test_a_disk_that_runs_full(self, yard: Yard) -> None:
        put_wheel(yard.index, "heavy", {"heavy/weights.bin": bytes(3_000_000)})
        limited = ("bash", "-c", 'ulimit -f 1500; exec "$@"', "builder")
        assert "disk became full" in self.failed(yard, "insufficient_storage", yard.start(prefix=limited))

    def test_a_disk_that_is_as_good_as_full(self, yard: Yard) -> None:
        builder = yard.start(keep_free_bytes=1 << 60)
        assert "must stay free" in self.failed(yard, "insufficient_storage", builder)

    def test_no_network(self, yard: Yard) -> None:
        offline = {
            "PIP_NO_INDEX": "",
            "PIP_FIND_LINKS": "",
            "PIP_INDEX_URL": "http://user:hunter22@127.0.0.1:9/simple",
        }
        error = self.failed(yard, "upstream_error", yard.start(environment={"PIP_RETRIES": "1", **offline}))
        assert "the package index cannot be reached" in error

    def test_a_package_that_does_not_exist(self, yard: Yard) -> None:
        put_lock(yard.lock, "heavy==9.9")
        assert "heavy==9.9" in self.failed(yard, "upstream_error", yard.start())

    def test_a_lock_that_does_not_exist(self, yard: Yard) -> None:
        yard.lock.unlink()
        assert str(yard.lock) in self.failed(yard, "internal", yard.start())

    def test_an_environment_in_which_the_worker_does_not_run(self, yard: Yard) -> None:
        put_wheel(yard.index, "light", {"light.py": b""})
        put_lock(yard.lock, "light==1.0")
        assert "No module named" in self.failed(yard, "unsupported", yard.start())

    def test_a_volume_that_cannot_be_written(self, yard: Yard) -> None:
        yard.environments.parent.mkdir()
        yard.environments.write_bytes(b"a file")
        told = yard.start().end()
        assert told["code"] == "internal"
        assert "cannot be made" in told["error"]
