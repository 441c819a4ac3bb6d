"""The commands and the Python that README and the pages show, run against one worker with the default image's extras.

A page names what its reader has. The tests put in what they have: `standing_for` says all of it. One command is run once,
also if several pages show it. What no test can run here is in `ELSEWHERE` and `OTHER_PROGRAMS`, with the reason.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.documented import ROOT, Block, blocks, calls
from tests.error_log import error_log
from tests.tiny_models import place_tiny
from typer.testing import CliRunner

from lorapod.client import Client
from lorapod.client.cli import app
from lorapod.client.drawing.creature import draw_creatures
from lorapod.client.serving import serving
from lorapod.endpoint import EndpointConfig

pytest.importorskip("diffusers", reason="needs the `builtin` extra")
pytest.importorskip("matplotlib", reason="needs the `report` extra")

pytestmark = [pytest.mark.acceptance, pytest.mark.torch, pytest.mark.timeout(300)]

LOCAL = "http://127.0.0.1:8080/v2/local"
DATASET = "cat"
ACCOUNT = "tests/integration/platform/test_documented_account.py"
#: Commands that need a stand-in for RunPod, that serve until Ctrl-C, or that ask no worker: the tests that run them.
ELSEWHERE: Mapping[str, str] = {
    "deploy": ACCOUNT,
    "doctor": ACCOUNT,
    "cost": ACCOUNT,
    "console": "tests/integration/client/test_console_command.py",
    "watch": "tests/integration/client/test_report_in_browser.py",
    "run": "tests/acceptance/test_command_line.py",
    "rm": "tests/unit/client/commands/test_commands.py",
    "edit": "tests/unit/client/commands/test_commands.py",
    "caption": "tests/unit/client/commands/test_commands.py",
    "models publish": "tests/unit/actions/test_publish_model.py",
    "resume": "tests/acceptance/test_command_line.py",
    "docs/howto/local-development.md": "tests/acceptance/test_demo.py",
    "endpoint": "tests/acceptance/test_distributions.py",
    "docs/howto/look-without-a-worker.md": "tests/integration/client/test_volume_client.py",
}
#: Python that needs what the default image has not: a bucket (tests/integration/client/test_large_files.py), and ComfyUI
#: (tests/integration/engines).
NOT_HERE = ("client.address(", "workflow=workflow")
#: What a page does on the reader's machine, and why it is only looked at here.
OTHER_PROGRAMS: Mapping[str, str] = {
    "docker": "no container engine is here; `make image-test` builds the targets without one",
    "git": "the repository's URL is the reader's",
    "pip": "tests/acceptance/test_distributions.py installs both distributions",
    "python3": "makes an environment with pip",
    "make": "tests/acceptance/test_demo.py runs the demo, and this is `make test`",
    "mkdir": "makes the reader's folder",
    "export": "sets a variable",
    "cd": "enters the reader's folder",
    "xdg-open": "opens a browser",
}


def standing_for(words: str, process_id: str) -> str:
    """What a test has for what a page names: the tiny model for SDXL, two steps for 1500, its own dataset and training."""
    for shown, here in (
        (r"(?<=train) --preset sdxl", " --preset sd15 --model models/tiny --trainer builtin --resolution 64"),
        (r"--steps \d+", "--steps 2"),
        (r"models/my-sdxl", "models/tiny"),
        (r"(?<=lorapod dataset) [\w-]+", f" {DATASET}"),
        (r"--rank 16", "--rank 2"),
        (r"--dataset \w+", f"--dataset {DATASET}"),
    ):
        words = re.sub(shown, here, words)
    words = re.sub(r"train_0123456789a\w|train_…|\bID\b|\"\$id\"", process_id, words)
    return words.replace("sweep_0123456789ab", process_id)


def commands() -> Iterator[Any]:
    """Each call once, by the page that shows it first."""
    seen: set[str] = set()
    for block, words in calls():
        _, name, *rest = words.split()
        if {name, f"{name} {rest[0] if rest else ''}", block.page} & ELSEWHERE.keys():
            continue
        shown = standing_for(words, "PROCESS")
        if shown not in seen:
            seen.add(shown)
            yield pytest.param(words, id=f"{block.page}: {words[:50]}")


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reader's folder: images to train on, and to generate from."""
    folder = tmp_path_factory.mktemp("here")
    for name in ("my-images", "my-cat"):
        draw_creatures(folder / name)
    return folder


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("workspace")
    place_tiny(root / "models" / "tiny")
    return root


@pytest.fixture(scope="module")
def url(workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    config = EndpointConfig(
        command=[sys.executable, str(ROOT / "Backend/rp_handler.py")],
        environment={"WORKSPACE_PATH": str(workspace), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        log_folder=error_log.watch(tmp_path_factory.mktemp("logs")),
        stop_grace_s=30.0,
    )
    with serving(config) as endpoint:
        yield endpoint.url


@pytest.fixture(scope="module")
def process_id(url: str, here: Path, workspace: Path) -> str:
    """README's own Python, which trains the LoRA that the commands work with."""
    (block,) = blocks("python", page="README.md")
    known: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        run_python(block, known, url)
    assert (here / "cat.safetensors").is_file()
    (workspace / "models/loras").mkdir(exist_ok=True)
    shutil.copy(here / "cat.safetensors", workspace / "models/loras/ink.safetensors")
    return str(known["training"].process_id)


def run_python(block: Block, known: dict[str, Any], url: str, process_id: str = "") -> None:
    code = block.text.replace(LOCAL, url).replace("https://api.runpod.ai/v2/<endpoint>", url)
    for shown, here in (
        (r'preset="sdxl"', 'preset="sd15", model="models/tiny", trainer="builtin", resolution=64'),
        (r"steps=\d+", "steps=2"),
        (r"train_0123456789ab", process_id),
    ):
        code = re.sub(shown, here, code)
    exec(compile(code, block.id, "exec"), known)  # noqa: S102 - the page is the test


@pytest.fixture
def stop_what_runs(url: str) -> Iterator[None]:
    yield
    with Client(url) as client:
        for status in ("queued", "running"):
            for process in client.call("processes", status=status)["processes"]:
                client.call("cancel", process_id=process["process_id"], save=False, grace_s=1)


@pytest.mark.usefixtures("stop_what_runs")
@pytest.mark.parametrize("words", [*commands()])
def test_a_command_does_what_its_page_says(
    words: str, url: str, here: Path, process_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(here)
    environment = {"LORAPOD_URL": url, "COLUMNS": "200", "LORAPOD_PRICE_PER_HOUR": "1.9"}
    arguments = shlex.split(standing_for(words, process_id))[1:]
    done = CliRunner().invoke(app, arguments, env=environment)
    assert done.exit_code == 0, (arguments, done.output, done.exception)


class TestPython:
    """The blocks of Python that need this worker; `tests/integration/client/test_pages.py` runs those with a bucket."""

    @pytest.fixture
    def known(self, url: str, here: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
        monkeypatch.chdir(here)
        (here / "films").mkdir(exist_ok=True)
        shutil.copytree(here / "my-images", here / "films", dirs_exist_ok=True)
        shutil.copy(here / "my-images/mimo-00.png", here / "sofa.png")
        with Client(url) as client:
            yield {"client": client, "Client": Client}

    @pytest.mark.parametrize(
        "page", ["docs/howto/large-files.md", "docs/howto/generate.md", "docs/reference/python.md"]
    )
    def test_a_page_runs_from_top_to_bottom(
        self, page: str, known: dict[str, Any], url: str, process_id: str
    ) -> None:
        for block in blocks("python", page=page):
            if not any(part in block.text for part in NOT_HERE):
                run_python(block, known, url, process_id)

    def test_a_long_training_is_started_and_cancelled(self, known: dict[str, Any], url: str) -> None:
        """To resume it, as the page does next, would wait for the end of three thousand steps."""
        (start,) = blocks("python", page="docs/howto/long-trainings.md")
        run_python(start, known, url)
        training = known["training"]
        cancel, _ = blocks("python", page="docs/howto/cancel-and-resume.md")
        run_python(cancel, known, url, training.process_id)
        assert training.wait(check=False).status == "cancelled"


class TestCurl:
    """The requests of the pages as `curl` sends them."""

    @pytest.mark.usefixtures("stop_what_runs")
    @pytest.mark.parametrize(
        "block",
        [block for block in blocks("sh") if block.text.startswith("curl ")],
        ids=lambda block: block.id,
    )
    def test_the_endpoint_takes_it(self, block: Block, url: str) -> None:
        text = block.text.replace(LOCAL, url).replace("https://api.runpod.ai/v2", url.rpartition("/")[0])
        environment = {"PATH": os.environ["PATH"], "RUNPOD_ENDPOINT_ID": "local", "RUNPOD_API_KEY": "none"}
        done = subprocess.run(
            ["bash", "-ec", text.replace('"preset": "sdxl"', '"preset": "sd15", "model": "models/tiny"')],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert json.loads(done.stdout)["status"] in {"COMPLETED", "IN_QUEUE"}


def test_every_line_is_run_or_has_a_reason() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    for block in blocks("sh"):
        for line in () if block.text.startswith("curl ") else block.lines():
            words = re.sub(r"^(?:[A-Z_]+=\S+ )*(?:\w+=\$\()?(?:\.venv/bin/|~/\.lorapod/bin/)?", "", line)
            program = words.split()[0]
            if program == "python":
                # tests/acceptance/test_single_purpose.py and tests/unit/models/test_links.py run them.
                assert words in {"python SimpleBackend/handler.py", "python -m lorapod.models.links"}
                continue
            assert program == "lorapod" or program in OTHER_PROGRAMS, f"{block.id}: {line}"
            if program == "make":
                assert f"\n{words.split()[1]}: " in makefile, f"{block.id}: {line}"
            if target := re.search(r"--target (\S+)", words):
                assert f" AS {target[1]}\n" in dockerfile, f"{block.id}: {line}"


def test_what_runs_elsewhere_runs_there() -> None:
    assert [test for test in ELSEWHERE.values() if not (ROOT / test).is_file()] == []
