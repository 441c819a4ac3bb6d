"""`startup.sh` as a container runs it: a real volume folder, real servers to wait for, the real handler at the end."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.servers.comfyui_extensions import Repository
from tests.servers.ports import free_port

from lorapod.client import Client
from lorapod.client.serving import serving
from lorapod.endpoint import EndpointConfig

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "startup.sh"
DEADLINE_S = 60.0
SECRET = "hf_a-token-that-nobody-may-see"

#: Answers what `startup.sh` asks ComfyUI and SwarmUI; nothing else of them is here.
SERVER = """
import http.server, os, sys
from pathlib import Path

if "BROKEN" in os.environ:
    sys.exit("no such device")

class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(b'{"system": {}, "devices": []}')
    def do_POST(self):
        self.answer(b'{"session_id": "1"}')
    def answer(self, body):
        ready = Path(os.environ.get("READY", "/")).exists()
        self.send_response(200 if ready else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        print("asked", *args, flush=True)

port = int(sys.argv[sys.argv.index("--port") + 1])
print("options", *sys.argv[1:], flush=True)
print(os.environ.get("SAYS", ""), flush=True)
http.server.HTTPServer(("127.0.0.1", port), Answers).serve_forever()
"""


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    folder = tmp_path / "volume"
    folder.mkdir()
    return folder


@pytest.fixture
def environment(tmp_path: Path, volume: Path) -> dict[str, str]:
    """What a container has; `env` in the handler's place shows what it would get."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "HOSTNAME": "box",
        "LORAPOD_PYTHON": sys.executable,
        "LORAPOD_RUN_PATH": str(tmp_path / "run"),
        "LORAPOD_USER": "nobody-of-this-name",
        "VOLUME_PATH": str(volume),
        "STARTUP_TIMEOUT": "30",
    }


@pytest.fixture
def showing(tmp_path: Path) -> Path:
    """A Python that, asked to run a handler, shows the handler and its environment instead."""
    program = tmp_path / "python"
    program.write_text(
        f'#!/bin/sh\ncase "$2" in *handler*) echo "$@"; exec env ;; esac\nexec {sys.executable} "$@"\n'
    )
    program.chmod(0o755)
    return program


def start(environment: dict[str, str], script: Path = SCRIPT) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["bash", str(script)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def run(environment: dict[str, str], script: Path = SCRIPT) -> tuple[int, str, str]:
    process = start(environment, script)
    out, error = process.communicate(timeout=DEADLINE_S)
    return process.returncode, out, error


def handler_environment(out: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in out.splitlines() if "=" in line)


def comfyui(tmp_path: Path) -> Path:
    folder = tmp_path / "ComfyUI"
    folder.mkdir()
    (folder / "main.py").write_text(SERVER)
    (folder / "requirements.txt").write_text("")
    (folder / "comfy").mkdir()
    (folder / "comfy" / "__init__.py").write_text("")
    return folder


@pytest.fixture
def with_comfyui(environment: dict[str, str], showing: Path, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Asks for ComfyUI; what the script left running is ended."""
    yield {
        **environment,
        "LORAPOD_PYTHON": str(showing),
        "START_COMFYUI": "true",
        "COMFYUI_PATH": str(comfyui(tmp_path)),
        "COMFYUI_PYTHON": sys.executable,
        "COMFYUI_URL": f"http://127.0.0.1:{free_port()}",
    }
    for mark in (tmp_path / "run").glob("*.pid"):
        if mark.stem != "handler":
            with_suppress_kill(int(mark.read_text()))


def with_suppress_kill(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


class TestTheWayToTheHandler:
    def test_the_real_worker_answers_behind_it(self, environment: dict[str, str], volume: Path) -> None:
        config = EndpointConfig(command=["bash", str(SCRIPT)], environment=environment, stop_grace_s=30)
        with serving(config) as endpoint, Client(endpoint.url) as client:
            assert client.call("ping")["pong"] is True
            told = subprocess.run(["bash", str(SCRIPT), "healthy"], env=environment, check=False)

        assert told.returncode == 0
        assert subprocess.run(["bash", str(SCRIPT), "healthy"], env=environment, check=False).returncode == 1
        assert {path.name for path in volume.iterdir()} >= {
            "training_data",
            "models",
            "output",
            "logs",
            "processes",
        }

    @pytest.mark.parametrize(
        ("chosen", "handler"),
        [
            ("", "Backend/rp_handler.py"),
            ("backend", "Backend/rp_handler.py"),
            ("simple", "SimpleBackend/handler.py"),
        ],
    )
    def test_it_becomes_the_chosen_handler(
        self, environment: dict[str, str], showing: Path, chosen: str, handler: str
    ) -> None:
        code, out, error = run({**environment, "LORAPOD_PYTHON": str(showing), "HANDLER": chosen})

        assert code == 0, error
        assert out.splitlines()[0] == f"-u {ROOT / handler}"
        given = handler_environment(out)
        assert given["WORKSPACE_PATH"] == environment["VOLUME_PATH"]
        assert given["HF_HOME"] == f"{environment['VOLUME_PATH']}/.cache/huggingface"
        assert given["RUNPOD_DEBUG_LEVEL"] == "INFO"

    @pytest.mark.parametrize(
        ("switch", "options"), [("true", " --rp_serve_api --rp_api_host 0.0.0.0"), ("false", ""), ("", "")]
    )
    def test_it_can_serve_the_sdks_own_api(
        self, environment: dict[str, str], showing: Path, switch: str, options: str
    ) -> None:
        _, out, error = run({**environment, "LORAPOD_PYTHON": str(showing), "SERVE_API_LOCALLY": switch})

        assert out.splitlines()[:1] == [f"-u {ROOT / 'Backend/rp_handler.py'}{options}"], error

    def test_a_model_that_runpod_keeps_ready_is_named(
        self, environment: dict[str, str], showing: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "cache" / "models--org--a-model" / "snapshots").mkdir(parents=True)
        (tmp_path / "cache" / "models--org--half").mkdir()

        _, out, error = run(
            {
                **environment,
                "LORAPOD_PYTHON": str(showing),
                "MODEL_CACHE_PATH": str(tmp_path / "cache"),
            }
        )

        assert "the model org/a-model is in RunPod's cache" in error
        assert "half" not in error
        assert f"HF_HOME={environment['VOLUME_PATH']}/.cache/huggingface" in out.splitlines()

    def test_a_token_is_passed_on_and_never_printed(self, environment: dict[str, str], showing: Path) -> None:
        _, out, error = run({**environment, "LORAPOD_PYTHON": str(showing), "HUGGINGFACE_API_TOKEN": SECRET})

        assert handler_environment(out)["HF_TOKEN"] == SECRET
        assert SECRET not in error

    def test_without_a_token_there_is_none(self, environment: dict[str, str], showing: Path) -> None:
        _, out, _ = run({**environment, "LORAPOD_PYTHON": str(showing)})

        assert "HF_TOKEN" not in handler_environment(out)

    def test_a_second_start_leaves_what_is_there(
        self, environment: dict[str, str], showing: Path, volume: Path
    ) -> None:
        (volume / "models").mkdir()
        (volume / "models" / "mine.safetensors").write_bytes(b"weights")

        for _ in range(2):
            assert run({**environment, "LORAPOD_PYTHON": str(showing)})[0] == 0

        assert (volume / "models" / "mine.safetensors").read_bytes() == b"weights"


class TestRefusals:
    @pytest.mark.parametrize(
        ("changes", "sentence"),
        [
            ({"VOLUME_PATH": "/no/such/volume"}, "the volume /no/such/volume does not exist"),
            ({"HANDLER": "slow"}, "HANDLER is 'slow': set it to backend, simple or fast"),
            ({"LORAPOD_PYTHON": "/no/such/python"}, "set LORAPOD_PYTHON"),
            ({"START_COMFYUI": "perhaps"}, "'perhaps' is not a switch"),
            (
                {"START_COMFYUI": "true", "COMFYUI_PATH": "/none"},
                "set COMFYUI_COMMIT to the commit to install",
            ),
            (
                {"START_SWARMUI": "true", "SWARMUI_PATH": "/none"},
                "set SWARMUI_COMMIT to the commit to install",
            ),
        ],
    )
    def test_what_cannot_work_ends_it_with_a_sentence(
        self, environment: dict[str, str], changes: dict[str, str], sentence: str
    ) -> None:
        code, _, error = run({**environment, **changes})

        assert code == 1
        assert sentence in error.splitlines()[-1]

    def test_a_volume_that_cannot_be_written_ends_it(self, environment: dict[str, str], volume: Path) -> None:
        (volume / "models").write_text("in the way")

        code, _, error = run(environment)

        assert code == 1
        assert f"{volume} is not writable" in error


class TestServers:
    def test_comfyui_is_waited_for_until_it_answers(
        self, with_comfyui: dict[str, str], tmp_path: Path, volume: Path
    ) -> None:
        ready = tmp_path / "ready"
        wanted = {"COMFYUI_ARGS": "--cpu --lowvram", "COMFY_LOG_LEVEL": "warning"}
        process = start({**with_comfyui, "READY": str(ready), **wanted})
        log = volume / "logs" / "comfyui-box.log"
        wait_for(lambda: log.exists() and "asked" in log.read_text())
        assert process.poll() is None
        ready.touch()
        out, error = process.communicate(timeout=DEADLINE_S)

        assert process.returncode == 0
        assert "ComfyUI is ready" in error
        assert "options --listen 127.0.0.1 --port" in log.read_text()
        assert "--verbose WARNING --cpu --lowvram" in log.read_text()
        assert handler_environment(out)["COMFYUI_URL"] == with_comfyui["COMFYUI_URL"]
        linked = Path(with_comfyui["COMFYUI_PATH"]) / "models"
        assert (linked / "text_encoders").resolve() == volume / "models" / "text_encoders"
        assert (linked / "diffusion_models").resolve() == volume / "models" / "diffusion_models"

    def test_extensions_are_installed_before_it_starts_and_one_that_fails_is_named(
        self, with_comfyui: dict[str, str], tmp_path: Path, volume: Path
    ) -> None:
        good, bad = Repository(tmp_path / "Good"), Repository(tmp_path / "Bad")
        unfit = Repository(tmp_path / "Unfit")
        wanted = f"{good.entry},{bad.url}@{'0' * 40},{unfit.entry}"
        says = "   0.1 seconds (IMPORT FAILED): /comfyui/custom_nodes/Unfit"
        code, out, error = run({**with_comfyui, "READY": "/", "SAYS": says, "COMFYUI_NODES": wanted})

        assert code == 0, error
        assert "ComfyUI could not import Unfit: its log says why." in error
        assert "could not import Good" not in error
        assert "Bad was not installed: git: fatal:" in error
        assert "ComfyUI is ready" in error
        assert (Path(with_comfyui["COMFYUI_PATH"]) / "custom_nodes/Good/__init__.py").exists()
        # A worker that starts ComfyUI again finds the extensions by itself.
        assert handler_environment(out)["COMFYUI_PYTHON"] == with_comfyui["COMFYUI_PYTHON"]

    def test_a_signal_while_extensions_are_installed_ends_it(
        self, with_comfyui: dict[str, str], tmp_path: Path
    ) -> None:
        begun = tmp_path / "begun"
        waiting = f"import pathlib, time; pathlib.Path({str(begun)!r}).touch(); time.sleep({DEADLINE_S})"
        nodes = Repository(tmp_path / "Nodes", **{"install.py": waiting})
        process = start({**with_comfyui, "COMFYUI_NODES": nodes.entry})
        wait_for(begun.exists)

        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=10)

        assert process.returncode == 143
        assert not (Path(with_comfyui["COMFYUI_PATH"]) / "custom_nodes/Nodes").exists()

    def test_one_that_ends_while_it_starts_is_told_with_its_last_lines(
        self, with_comfyui: dict[str, str]
    ) -> None:
        code, _, error = run({**with_comfyui, "BROKEN": "1"})

        assert code == 1
        assert "no such device" in error
        assert "ComfyUI ended during its start" in error

    def test_one_that_is_never_ready_is_given_up(self, with_comfyui: dict[str, str], tmp_path: Path) -> None:
        code, _, error = run({**with_comfyui, "READY": str(tmp_path / "never"), "STARTUP_TIMEOUT": "2"})

        assert code == 1
        assert "ComfyUI was not ready within 2 s" in error
        assert_gone(int((tmp_path / "run" / "comfyui.pid").read_text()))

    def test_a_signal_while_it_waits_ends_it_and_the_server(
        self, with_comfyui: dict[str, str], tmp_path: Path, volume: Path
    ) -> None:
        process = start({**with_comfyui, "READY": str(tmp_path / "never")})
        log = volume / "logs" / "comfyui-box.log"
        wait_for(lambda: log.exists() and "asked" in log.read_text())

        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=10)

        assert process.returncode == 143
        assert_gone(int((tmp_path / "run" / "comfyui.pid").read_text()))

    def test_swarmui_gets_settings_that_need_nobody_to_click(
        self, environment: dict[str, str], showing: Path, tmp_path: Path, volume: Path
    ) -> None:
        folder = tmp_path / "SwarmUI"
        folder.mkdir()
        (folder / "server.py").write_text(SERVER)
        launcher = folder / "launch-linux.sh"
        launcher.write_text(f'#!/bin/sh\nexec {sys.executable} server.py "$@"\n')
        launcher.chmod(0o755)
        try:
            code, _, error = run(
                {
                    **environment,
                    "LORAPOD_PYTHON": str(showing),
                    "START_SWARMUI": "true",
                    "SWARMUI_PATH": str(folder),
                    "SWARMUI_PORT": str(free_port()),
                    "COMFYUI_URL": "http://127.0.0.1:8188",
                }
            )
        finally:
            with_suppress_kill(int((tmp_path / "run" / "swarmui.pid").read_text()))

        assert code == 0, error
        assert "SwarmUI is ready" in error
        settings = (folder / "Data" / "Settings.fds").read_text()
        assert f"\tOutputPath: {volume}/output/swarmui" in settings
        assert (folder / "Models" / "Lora").resolve() == volume / "models" / "loras"
        assert {
            "IsInstalled: true",
            "LaunchMode: none",
            "\tPortCanChange: false",
            "\tImageMetadataIncludeModelHash: false",
        } <= set(settings.splitlines())
        assert "\t\tAddress: http://127.0.0.1:8188" in (folder / "Data" / "Backends.fds").read_text()
        assert "--launch_mode none --host 127.0.0.1" in (volume / "logs" / "swarmui-box.log").read_text()


class TestInstallingOnTheVolume:
    @pytest.fixture
    def repository(self, tmp_path: Path) -> tuple[Path, str]:
        """A repository with a server in it, and its commit."""
        folder = comfyui(tmp_path)
        git = ["git", "-C", str(folder), "-c", "user.name=n", "-c", "user.email=e@example.com"]
        for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "A server"]):
            subprocess.run(
                [*git, *command], check=True, env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
            )
        commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
        return folder, commit.stdout.strip()

    @pytest.fixture
    def installing(
        self, environment: dict[str, str], showing: Path, repository: tuple[Path, str], tmp_path: Path
    ) -> Iterator[dict[str, str]]:
        folder, commit = repository
        yield {
            **environment,
            "LORAPOD_PYTHON": str(showing),
            "START_COMFYUI": "true",
            "COMFYUI_PATH": "/none",
            "COMFYUI_REPOSITORY": f"file://{folder}",
            "COMFYUI_COMMIT": commit,
        }
        for mark in tmp_path.glob("run*/comfyui.pid"):
            with_suppress_kill(int(mark.read_text()))

    def of(self, installing: dict[str, str], name: str) -> dict[str, str]:
        """One worker of several on the volume."""
        run_path = f"{installing['LORAPOD_RUN_PATH']}-{name}"
        url = f"http://127.0.0.1:{free_port()}"
        return {**installing, "HOSTNAME": name, "LORAPOD_RUN_PATH": run_path, "COMFYUI_URL": url}

    @pytest.mark.slow
    def test_two_workers_that_start_together_install_once(
        self, installing: dict[str, str], volume: Path, tmp_path: Path
    ) -> None:
        ran = tmp_path / "ran"
        nodes = Repository(tmp_path / "Nodes", **{"install.py": f"open({str(ran)!r}, 'a').write('once\\n')"})
        installing = {**installing, "COMFYUI_NODES": nodes.entry}
        workers = [start(self.of(installing, name)) for name in ("one", "two")]
        told = [worker.communicate(timeout=DEADLINE_S)[1] for worker in workers]

        assert [worker.returncode for worker in workers] == [0, 0], told
        assert sum(len(re.findall("startup: installing .*ComfyUI", error)) for error in told) == 1
        assert all("ComfyUI is ready" in error for error in told)

        code, _, error = run(self.of(installing, "three"))
        assert (code, "installing" in error) == (0, False)
        assert (volume / "ComfyUI/custom_nodes/Nodes/__init__.py").exists()
        assert ran.read_text() == "once\n"

    @pytest.mark.slow
    def test_one_that_dies_on_the_way_leaves_it_to_the_next(
        self, installing: dict[str, str], volume: Path
    ) -> None:
        first = start(self.of(installing, "one"))
        wait_for((volume / "ComfyUI" / ".git").exists)
        os.killpg(first.pid, signal.SIGKILL)
        first.communicate(timeout=DEADLINE_S)
        (volume / "ComfyUI" / "half.txt").write_text("of the dead worker")

        code, _, error = run(self.of(installing, "two"))

        assert code == 0, error
        assert not (volume / "ComfyUI" / "half.txt").exists()

    def test_an_install_that_fails_says_so_and_leaves_no_mark(
        self, installing: dict[str, str], volume: Path
    ) -> None:
        code, _, error = run({**self.of(installing, "one"), "COMFYUI_COMMIT": "0" * 40})

        assert code == 1
        assert "could not be installed" in error
        assert not (volume / "ComfyUI.installed").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
class TestTheUser:
    @pytest.fixture
    def image(self, environment: dict[str, str]) -> Iterator[dict[str, str]]:
        """A place that everybody may read, as an image is, with a handler that tells who runs it."""
        with tempfile.TemporaryDirectory() as name:
            root = Path(name)
            root.chmod(0o755)
            (root / "Backend").mkdir()
            (root / "Backend" / "rp_handler.py").touch()
            (root / "volume").mkdir()
            shutil.copy(SCRIPT, root)
            python = root / "python"
            python.write_text("#!/bin/sh\nexec id -un\n")
            python.chmod(0o755)
            yield {
                **environment,
                "VOLUME_PATH": str(root / "volume"),
                "LORAPOD_PYTHON": str(python),
                "LORAPOD_RUN_PATH": str(root / "volume" / "run"),
                "LORAPOD_USER": "nobody",
            }

    def test_a_volume_of_the_users_own_is_used_as_that_user(self, image: dict[str, str]) -> None:
        volume = Path(image["VOLUME_PATH"])
        shutil.chown(volume, "nobody")

        code, out, error = run(image, volume.parent / "startup.sh")

        assert (code, out.strip()) == (0, "nobody"), error
        assert {folder.owner() for folder in volume.iterdir()} == {"nobody"}

    def test_one_that_root_alone_can_write_keeps_it_root(self, image: dict[str, str]) -> None:
        code, out, error = run(image, Path(image["VOLUME_PATH"]).parent / "startup.sh")

        assert (code, out.strip()) == (0, "root")
        assert "the worker stays root" in error


def wait_for(condition: Any) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def assert_gone(group: int) -> None:
    """Ended, or about to: it was told to."""

    def gone() -> bool:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        return False

    wait_for(gone)
