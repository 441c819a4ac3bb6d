"""`make demo`, short: a few steps."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest
from PIL import Image
from tests.error_log import error_log

from lorapod import weights

pytest.importorskip("diffusers", reason="needs the `builtin` extra")
pytest.importorskip("matplotlib", reason="needs the `report` extra")

pytestmark = [pytest.mark.acceptance, pytest.mark.torch, pytest.mark.slow, pytest.mark.timeout(300)]

#: The demo's own variables must not reach it from whoever runs the tests.
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if name not in {"MODEL", "ARCH", "DATASET", "TRAINER", "STEPS", "RESOLUTION", "OUT", "CONSOLE"}
}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    error_log.watch(folder / "logs")
    return folder


@contextmanager
def started(out: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """The demo, ended in good order whatever becomes of the test."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "lorapod.client.demo", "--out", str(out), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=ENVIRONMENT | {"BROWSER": "true"},
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.communicate(timeout=60)


def test_the_demo_leaves_a_lora_and_its_pictures(out: Path) -> None:
    with started(out, "--steps", "2") as process:
        told, _ = process.communicate(timeout=280)

    assert process.returncode == 0, told
    header = weights.read_header(out / "demo.safetensors")
    assert header.is_lora
    assert weights.step_of(header) == 2
    for name in ("loss.png", "samples.png", "before-after.png", "compare.png"):
        assert str(out / name) in told
        with Image.open(out / name) as picture:
            assert picture.format == "PNG"
    assert len(list((out / "samples").iterdir())) == 12
    (drawn,) = (out / "generated").iterdir()
    assert str(drawn) in told
    with Image.open(drawn) as picture:
        assert "<lora:demo:1>" in picture.info["parameters"]
    assert "embedding model: the demo's own, trained on drawn scenes (models/demo_recogniser)" in told
    assert re.search(r"1\. step \d, score -?\d\.\d\d: \w", told)
    assert "Total" in told
    # Nobody is at a terminal: the console shows that it answers, and the demo ends.
    assert re.search(r"answered at http://127\.0\.0\.1:\d+ with its page \(\d+ bytes\)", told)
    assert told.rstrip().endswith(f"lorapod console --open --workspace {out / 'workspace'}")


@pytest.mark.parametrize(("number", "options"), [(signal.SIGINT, ("--console",)), (signal.SIGTERM, ())])
def test_an_interrupted_demo_leaves_nothing_running(
    out: Path, number: signal.Signals, options: tuple[str, ...]
) -> None:
    logs = out / "workspace" / "logs"
    known = set(logs.glob("*.log"))
    with started(out, "--steps", "100000", *options) as process:
        assert process.stdout is not None
        links = []
        for line in process.stdout:
            links += re.findall(r"http://127\.0\.0\.1:\d+/open/\S+", line)
            if line.startswith("Training"):
                break
        # The console shows the demo while it runs.
        assert [httpx.get(link, trust_env=False).status_code for link in links] == [200]
        family = _trainer_and_parents(process.pid, logs, known)
        process.send_signal(number)
        told, _ = process.communicate(timeout=90)

    assert process.returncode == 130, told
    assert "Interrupted" in told
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive


def test_a_training_that_fails_says_why(out: Path) -> None:
    with started(out, "--trainer", "no-such-trainer") as process:
        told, _ = process.communicate(timeout=120)

    assert process.returncode == 1
    assert "There is no trainer 'no-such-trainer'" in told
    assert str(out / "logs") in told


def _trainer_and_parents(pid: int, logs: Path, known: set[Path]) -> list[psutil.Process]:
    """The worker and all that it started, once the trainer has said something."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if any(log.stat().st_size for log in set(logs.glob("*.log")) - known):
            family = psutil.Process(pid).children(recursive=True)
            assert len(family) >= 2
            return family
        time.sleep(0.05)
    raise AssertionError("no trainer has said anything")
