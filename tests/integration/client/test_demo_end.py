"""How the demo ends: at a terminal its console stays until Ctrl-C, elsewhere nothing waits."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

#: The end of the demo, over an endpoint that is not there.
END = """
import sys
from pathlib import Path
from lorapod.client.demo_console import demo_console, stays_open
from lorapod.client.demo_end import end_with_console

out = Path(sys.argv[1])
with demo_console("http://127.0.0.1:9/v2/local", out) as console:
    end_with_console(console, out / "workspace", stays=stays_open(wanted=None))
"""
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "CI"}
LINK = re.compile(r"http://127\.0\.0\.1:\d+/open/\S+")


@contextmanager
def at_terminal(out: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The end at a terminal of its own, and that terminal's other side."""
    outside, inside = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", END, str(out)],
        stdin=inside,
        stdout=inside,
        stderr=subprocess.STDOUT,
        env=ENVIRONMENT,
        start_new_session=True,
    )
    os.close(inside)
    try:
        yield process, outside
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(outside)


def read_until(side: int, pattern: re.Pattern[str]) -> str:
    """What a terminal shows up to a line in which the pattern is, and that line's end."""
    shown = ""
    with suppress(OSError):  # the terminal's end
        while not (found := pattern.search(shown)) or "\n" not in shown[found.end() :]:
            shown += os.read(side, 4096).decode()
    return shown


@pytest.mark.timeout(60)
def test_at_a_terminal_the_last_line_is_an_address_that_answers_until_ctrl_c(tmp_path: Path) -> None:
    with at_terminal(tmp_path) as (process, side):
        shown = read_until(side, LINK)
        (link,) = LINK.findall(shown)
        assert shown.rstrip().endswith(link)
        with httpx.Client(trust_env=False) as browser:
            assert browser.get(link).status_code == 200
            assert "<script" in browser.get(re.sub(r"/open/.*", "/", link)).text
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0


@pytest.mark.timeout(60)
def test_elsewhere_it_shows_that_the_address_answers_and_ends(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", END, tmp_path],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=ENVIRONMENT | {"COLUMNS": "20"},
        cwd=tmp_path,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answered = re.search(r"answered at (http://127\.0\.0\.1:\d+) with its page \((\d+) bytes", done.stdout)
    assert answered is not None, done.stdout
    assert int(answered[2]) > 200
    last = done.stdout.splitlines()[-1].strip()
    assert last == f"{Path(sys.executable).with_name('lorapod')} console --open --workspace workspace"
