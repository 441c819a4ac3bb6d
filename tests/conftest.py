from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from tests.error_log import error_log, unexpected
from tests.servers.rabbitmq import RunningRabbitMQ, running_rabbitmq
from tests.servers.redis_server import RunningRedis, running_redis
from tests.servers.s3_server import RunningS3, running_s3
from tests.servers.volume_server import RunningVolume, running_volume
from tests.tiny_models import SHELF

# Time is pytest-timeout's business: a deadline an example fails at random on a busy machine.
settings.register_profile("lorapod", deadline=None)
settings.load_profile("lorapod")

pytest_plugins = ["pytester"]
error_log.install()


def pytest_configure(config: pytest.Config) -> None:
    """Make one folder for the tiny base models of a run; the suite's workers inherit it."""
    if not hasattr(config, "workerinput"):
        os.environ[SHELF] = tempfile.mkdtemp(prefix="lorapod-tiny-")
        config.add_cleanup(lambda: shutil.rmtree(os.environ[SHELF], ignore_errors=True))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test whose worker logged an error that its `expects_errors` does not name."""
    report = yield
    if call.when == "teardown":
        stderr = "".join(text for _, key, text in item._report_sections if key == "stderr")
        expected = [each for mark in item.iter_markers("expects_errors") for each in mark.args]
        wrong = unexpected(error_log.take(stderr), expected)
        if wrong and report.passed and item.stash.get(_PASSED, True):
            report.outcome = "failed"
            report.longrepr = "\n".join(["what a worker logged at ERROR, and what the test expects:", *wrong])
    elif not report.passed:
        item.stash[_PASSED] = False
    return report


_PASSED = pytest.StashKey[bool]()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RunningRedis]:
    """One server for all tests that only need one; those that harm it start their own."""
    with running_redis() as server:
        yield server


@pytest.fixture(scope="session")
def s3_server() -> Iterator[RunningS3]:
    """One server for all tests that only need one; those that harm it start their own."""
    with running_s3() as server:
        yield server


@pytest.fixture(scope="module")
def volume() -> Iterator[RunningVolume]:
    """A network volume over S3, empty at first, for the tests of one module."""
    with running_volume() as server:
        yield server


@pytest.fixture(scope="session")
def rabbitmq_server() -> Iterator[RunningRabbitMQ]:
    """One broker for all tests that only need one; those that harm it start their own."""
    with running_rabbitmq() as server:
        yield server


@pytest.fixture
def small_root(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of 2 MB."""
    root = tmp_path / "disk"
    root.mkdir()
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None:
        pytest.skip("a small disk can be mounted by root only")
    mounted = subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(root)], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("this machine does not let root mount a tmpfs")
    try:
        yield root
    finally:
        subprocess.run(["umount", "-l", str(root)], check=True)
