"""The entry's few settings are the worker's own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lorapod.fast.settings import BACKEND, PROJECT, FastSettings
from lorapod.settings import Settings

SHARED = (
    "workspace_root",
    "worker_concurrency",
    "disk_min_free_bytes",
    "progress_interval_s",
    "lease_s",
    "shutdown_grace_s",
    "log_level",
    "serverless",
)


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name in {field.upper() for field in Settings.model_fields}:
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {
            "NETWORK_VOLUME_PATH": "/tmp/a-volume",
            "WORKER_CONCURRENCY": "3",
            "DISK_MIN_FREE_BYTES": "7",
            "PROGRESS_INTERVAL_S": "0.5",
            "LEASE_S": "4",
            "SHUTDOWN_GRACE_S": "9",
            "LOG_LEVEL": "DEBUG",
            "RUNPOD_WEBHOOK_GET_JOB": "http://127.0.0.1/job-take/$ID",
            "RUNPOD_POD_ID": "pod-1",
        },
        {"WORKSPACE_PATH": "/tmp/mine", "NETWORK_VOLUME_PATH": "/tmp/theirs", "LEASE_S": ""},
    ],
)
def test_both_read_the_same(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    fast, full = FastSettings.from_environment(os.environ), Settings()
    assert {name: getattr(fast, name) for name in SHARED} == {name: getattr(full, name) for name in SHARED}
    assert fast.worker_id == full.worker_id


def test_environments_lie_on_the_volume_or_on_local_disk(tmp_path: Path) -> None:
    on_volume = FastSettings.from_environment({"WORKSPACE_PATH": str(tmp_path / "volume")})
    assert on_volume.environments == tmp_path / "volume/.environments"
    (tmp_path / "file").write_bytes(b"")
    nowhere = FastSettings.from_environment(
        {"WORKSPACE_PATH": str(tmp_path / "file/volume"), "SCRATCH_PATH": str(tmp_path / "scratch")}
    )
    assert nowhere.environments == tmp_path / "scratch/lorapod/.environments"
    named = FastSettings.from_environment({"FAST_ENVIRONMENTS": "/somewhere", "FAST_LOCK": "/my.txt"})
    assert (named.environments, named.lock) == (Path("/somewhere"), Path("/my.txt"))


def test_the_lock_that_is_shipped_pins_what_the_project_pins() -> None:
    fast = FastSettings.from_environment({})
    ours = _pins(fast.lock)
    assert fast.lock == PROJECT / "FastBackend/requirements.lock"
    assert ours <= _pins(PROJECT / "requirements.lock")
    assert {"runpod", "pydantic", "torch", "diffusers", "redis"} <= {pin.split("==")[0] for pin in ours}
    assert not {"pytest", "mypy", "ruff"} & {pin.split("==")[0] for pin in ours}


def _pins(lock: Path) -> set[str]:
    return {line for line in lock.read_text("utf-8").splitlines() if "==" in line}


def test_the_entry_and_the_builder_need_nothing_but_the_standard_library() -> None:
    """On a Python without any site-packages."""
    modules = "import lorapod.fast.entry, lorapod.fast.building.__main__, lorapod.fast.worker_runner"
    code = f"import sys; sys.path.insert(0, {str(BACKEND)!r}); {modules}"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True)


@pytest.mark.parametrize("value", ["true", "1", "false", ""])
def test_a_worker_that_is_replaced_after_each_job_takes_one_at_a_time(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFRESH_WORKER", value)
    monkeypatch.setenv("WORKER_CONCURRENCY", "5")

    own = FastSettings.from_environment(os.environ)

    assert own.worker_concurrency == Settings().jobs_at_once == (1 if value in {"true", "1"} else 5)
