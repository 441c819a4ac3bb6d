"""`lorapod console` as a person starts it: the link on the first line, the port, the warning, the end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.error import HTTPError

import httpx
from tests.running_console import page_key_of
from tests.servers.ports import free_port

from lorapod.processes.store.file import FileRecords
from lorapod.records.process_id import new_process_id
from lorapod.testing.records import make_record
from lorapod.workspace import Workspace

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
COMMAND = Path(sys.executable).with_name("lorapod")


@contextmanager
def started(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONUNBUFFERED": "1"}
    named = [] if "--workspace" in arguments else ["--url", f"http://127.0.0.1:{free_port()}/v2/local"]
    console = subprocess.Popen(
        [str(COMMAND), "console", *named, *arguments],
        env=environment,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield console
    finally:
        console.kill()
        console.communicate()


def status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 -- a link that the test reads
            return int(answer.status)
    except HTTPError as refused:
        return refused.code


def test_the_first_line_is_a_link_that_works_once_even_if_the_endpoint_is_away(tmp_path: Path) -> None:
    with started(tmp_path, "--port", "0") as console:
        assert console.stdout is not None
        link = console.stdout.readline().strip()

        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/open/[\w-]{20,}", link)
        assert status(link) == 200
        assert status(link) == 403
        with httpx.Client(base_url=link.partition("/open/")[0], trust_env=False, timeout=20) as browser:
            assert browser.get("/api/endpoint").status_code == 401
        console.send_signal(signal.SIGINT)
        _, said = console.communicate(timeout=20)

    assert console.returncode == 0
    assert "it works once" in said
    (following,) = re.findall(r"For another browser: (\S+)", said)
    assert following != link
    assert "Traceback" not in said
    assert (tmp_path / ".cache" / "lorapod" / "console").is_dir()


def test_an_endpoint_that_is_away_is_told_and_ends_no_console(tmp_path: Path) -> None:
    with started(tmp_path, "--port", "0") as console:
        assert console.stdout is not None
        link = console.stdout.readline().strip()
        with httpx.Client(base_url=link.partition("/open/")[0], trust_env=False, timeout=20) as browser:
            browser.headers["X-Console-Key"] = page_key_of(browser.get(link).text)
            told = browser.get("/api/endpoint").json()
            home = browser.get("/api/home").json()
        console.send_signal(signal.SIGINT)
        console.communicate(timeout=20)

    assert "Cannot connect" in told["problem"]["error"]
    assert not told["worker_up"]
    assert home["trainings"] == 0
    assert console.returncode == 0


def test_another_address_comes_with_a_warning(tmp_path: Path) -> None:
    with started(tmp_path, "--port", "0", "--host", "0.0.0.0", "--cache", "kept") as console:
        assert console.stdout is not None
        link = console.stdout.readline().strip()
        assert status(link) == 200
        console.send_signal(signal.SIGINT)
        _, said = console.communicate(timeout=20)

    assert "everyone who can read this network's traffic" in said
    assert (tmp_path / "kept" / "console").is_dir()


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with started(tmp_path, "--port", "0") as first:
        assert first.stdout is not None
        port = first.stdout.readline().split(":")[2].partition("/")[0]
        with started(tmp_path, "--port", port) as second:
            _, said = second.communicate(timeout=20)

    assert second.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in said
    assert "Choose another --port" in said


def test_a_workspace_of_this_machine_is_shown_without_an_endpoint(tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    record = make_record(process_id=new_process_id("train", BEGAN), name="my cat", created_at=BEGAN)
    FileRecords(Workspace.create(workspace).processes).create(record)

    with started(tmp_path, "--port", "0", "--workspace", str(workspace)) as console:
        assert console.stdout is not None
        link = console.stdout.readline().strip()
        with httpx.Client(base_url=link.partition("/open/")[0], trust_env=False, timeout=20) as browser:
            browser.headers["X-Console-Key"] = page_key_of(browser.get(link).text)
            view = browser.get(f"/api/trainings/{record.process_id}").json()

    assert view["process"]["name"] == "my cat"
    assert view["follows"]
