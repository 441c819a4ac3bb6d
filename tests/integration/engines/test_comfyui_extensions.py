"""Extensions of ComfyUI: real git, real pip without a network, and several workers on one volume."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pip
import psutil
import pytest
from tests.servers.comfyui_extensions import Repository, make_wheel, package, running_registry

from lorapod.engines.comfyui.extensions import install as install_module
from lorapod.engines.comfyui.extensions.command import InstallStopped
from lorapod.engines.comfyui.extensions.install import ExtensionInstaller
from lorapod.engines.comfyui.extensions.place import RETRY_S, ExtensionHome
from lorapod.engines.comfyui.extensions.preparation import extension_problems
from lorapod.installations import Installation

DEADLINE_S = 60.0
#: The version that ComfyUI's Python has.
TORCH = "2.9.1"
#: Writes down that it ran; waits for the file `go` if there is a file `wait`.
INSTALLER = """
import os, pathlib, time
notes = pathlib.Path({notes!r})
with (notes / "ran").open("a") as file:
    file.write(f"{{os.getpid()}}\\n")
while (notes / "wait").exists() and not (notes / "go").exists():
    time.sleep(0.01)
"""


@dataclass(kw_only=True)
class Pod:
    """A ComfyUI, and the volume of its workers."""

    folder: Path
    root: Path
    workspace: Path
    said: list[str] = field(default_factory=list)

    @property
    def python(self) -> Path:
        return self.root / ".venv/bin/python"

    @property
    def nodes(self) -> Path:
        return self.root / "custom_nodes"

    @property
    def wheels(self) -> Path:
        return self.folder / "wheels"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.wheels),
            "PIP_CONFIG_FILE": os.devnull,
        }

    def repository(self, name: str, **files: str) -> Repository:
        return Repository(self.folder / "repositories" / name, **files)

    def installer(self, *wanted: str, registry: str = "http://127.0.0.1:9") -> ExtensionInstaller:
        return ExtensionInstaller(
            installation=Installation(
                root=self.root, python=self.python, entry=self.root / "main.py", version="1"
            ),
            workspace=self.workspace,
            wanted=" ".join(wanted),
            registry=registry,
            environment=self.environment,
            until_s=time.monotonic() + DEADLINE_S,
            say=self.said.append,
        )

    def ensure(self, *wanted: str, registry: str = "http://127.0.0.1:9") -> tuple[Path, list[str]]:
        """Install; answers ComfyUI's Python and the failures."""
        self.said.clear()
        python, failures = self.installer(*wanted, registry=registry).ensure()
        return python, list(failures)

    def imports(self, python: Path, module: str) -> str | None:
        """The version of a module in a Python; None if it has no such module."""
        done = subprocess.run(
            [python, "-c", f"import {module}; print({module}.__version__)"],
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout.strip() if done.returncode == 0 else None

    def command(self, *wanted: str) -> subprocess.Popen[str]:
        """As startup.sh runs it."""
        environment = {
            **self.environment,
            "COMFYUI_NODES": " ".join(wanted),
            "COMFYUI_PATH": str(self.root),
            "WORKSPACE_PATH": str(self.workspace),
        }
        return subprocess.Popen(
            [sys.executable, "-m", "lorapod.engines.comfyui.extensions"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def put_comfyui(root: Path) -> None:
    """A ComfyUI that is never started, with a Python of its own that has pip and something called torch."""
    (root / "comfy").mkdir(parents=True)
    (root / "custom_nodes").mkdir()
    (root / "main.py").write_text("")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", root / ".venv"], check=True)
    [packages] = (root / ".venv").glob("lib/python*/site-packages")
    for path in Path(pip.__file__).parents[1].glob("pip*"):
        (packages / path.name).symlink_to(path)
    make_wheel(root / "wheels", "torch", TORCH)
    with zipfile.ZipFile(root / f"wheels/torch-{TORCH}-py3-none-any.whl") as wheel:
        wheel.extractall(packages)


@pytest.fixture
def pod(tmp_path: Path) -> Pod:
    """A ComfyUI on the volume."""
    workspace = tmp_path / "volume"
    put_comfyui(workspace / "ComfyUI")
    return Pod(folder=tmp_path, root=workspace / "ComfyUI", workspace=workspace)


@pytest.fixture
def image(tmp_path: Path) -> Pod:
    """A ComfyUI in an image, beside an empty volume."""
    put_comfyui(tmp_path / "image/ComfyUI")
    (tmp_path / "volume").mkdir()
    return Pod(folder=tmp_path, root=tmp_path / "image/ComfyUI", workspace=tmp_path / "volume")


def test_one_at_a_commit_is_installed_once_with_what_it_needs(pod: Pod) -> None:
    make_wheel(pod.wheels, "needed_package")
    installer = INSTALLER.format(notes=str(pod.folder))
    repository = pod.repository(
        "Nodes",
        **{"requirements.txt": "needed_package\ntorch\n", "install.py": installer, "version.txt": "first"},
    )
    repository.change(**{"version.txt": "second"})

    assert pod.ensure(repository.entry) == (pod.python, [])
    assert pod.ensure(repository.entry) == (pod.python, [])

    assert (pod.nodes / "Nodes/version.txt").read_text() == "first"
    assert not (pod.nodes / "Nodes/.git").exists()
    assert pod.imports(pod.python, "needed_package") == "1.0"
    assert len((pod.folder / "ran").read_text().splitlines()) == 1
    assert pod.said == []
    assert [path.name for path in pod.nodes.iterdir()] == ["Nodes"]


def test_another_commit_replaces_it(pod: Pod) -> None:
    repository = pod.repository("Nodes", **{"version.txt": "first"})
    second = repository.change(**{"version.txt": "second", "new.txt": ""})
    pod.ensure(f"{repository.url}@{second}")

    pod.ensure(repository.entry)

    assert (pod.nodes / "Nodes/version.txt").read_text() == "first"
    assert sorted(path.name for path in pod.nodes.iterdir()) == ["Nodes"]
    assert not (pod.nodes / "Nodes/new.txt").exists()


def test_they_are_where_comfyui_s_arguments_say(pod: Pod) -> None:
    repository = pod.repository("Nodes")
    base = pod.folder / "a folder"

    replace(pod.installer(repository.entry), arguments=f"--cpu --base-directory '{base}'").ensure()

    assert (base / "custom_nodes/Nodes/__init__.py").exists()
    assert list(pod.nodes.iterdir()) == []


def test_what_somebody_put_there_by_hand_stays(pod: Pod) -> None:
    repository = pod.repository("Nodes")
    (pod.nodes / "Nodes").mkdir()
    (pod.nodes / "Nodes/mine.py").write_text("")

    _, failures = pod.ensure(repository.entry)

    assert failures == []
    assert [path.name for path in (pod.nodes / "Nodes").iterdir()] == ["mine.py"]


def test_what_fails_is_named_and_the_others_are_installed(pod: Pod) -> None:
    good = pod.repository("Good")
    no_commit = pod.repository("NoCommit")
    unmet = pod.repository("Unmet", **{"requirements.txt": "a_package_that_is_nowhere\n"})
    broken = pod.repository("Broken", **{"install.py": "import sys; sys.exit('no compiler was found')"})
    make_wheel(pod.wheels, "torch", "99.0")
    other_torch = pod.repository("OtherTorch", **{"requirements.txt": "torch>=99\n"})
    wanted = [
        *(f"{no_commit.url}@{'0' * 40}", unmet.entry, broken.entry, other_torch.entry),
        *(f"file://{pod.folder}/gone/Gone@{'1' * 40}", "nonsense!", good.entry),
    ]
    _, failures = pod.ensure(*wanted)

    said = {failure.partition(" ")[0]: failure for failure in failures}
    assert "NoCommit was not installed: git: fatal: " in said["NoCommit"]
    assert "Check its URL and commit in COMFYUI_NODES." in said["NoCommit"]
    assert "No matching distribution found for a_package_that_is_nowhere" in said["Unmet"]
    assert "choose another commit or version" in said["Unmet"]
    assert "its install.py: no compiler was found" in said["Broken"]
    assert "Gone was not installed: git: fatal: " in said["Gone"]
    assert "pip: ERROR: ResolutionImpossible" in said["OtherTorch"]
    assert "is neither a name of the registry" in said["'nonsense!'"]
    assert len(said) == 6
    assert [path.name for path in pod.nodes.iterdir()] == ["Good"]
    assert pod.imports(pod.python, "torch") == TORCH
    shown = extension_problems(" ".join(wanted), pod.root, pod.workspace)
    assert set(shown) == {
        *("extension:NoCommit", "extension:Unmet", "extension:Broken", "extension:OtherTorch"),
        *("extension:Gone", "extension:nonsense!"),
    }
    assert shown["extension:Unmet"] == said["Unmet"]


def test_a_password_that_git_repeats_is_shown_nowhere(pod: Pod) -> None:
    entry = f"http://me:p@secret@127.0.0.1:9/Mine.git@{'0' * 40}"

    _, failures = pod.ensure(entry)

    [failure] = failures
    assert "Mine was not installed: git: fatal: " in failure
    kept = [path.read_text("utf-8") for path in pod.folder.rglob("*.json")]
    assert "secret" not in f"{failure}{pod.said}{extension_problems(entry, pod.root, pod.workspace)}{kept}"


def test_a_failure_is_tried_again_when_the_entry_changes_or_after_a_while(pod: Pod) -> None:
    repository = pod.repository("Nodes", **{"requirements.txt": "not_there_yet\n"})
    pod.ensure(repository.entry)
    assert pod.said[0] == "installing ComfyUI's extensions Nodes"

    _, failures = pod.ensure(repository.entry)
    assert (len(failures), pod.said) == (1, failures)

    home = ExtensionHome.of(pod.root, pod.workspace)
    [noted] = home.failures().values()
    home.note_failure(replace(noted, failed_at=noted.failed_at - 2 * RETRY_S))
    make_wheel(pod.wheels, "not_there_yet")
    assert pod.ensure(repository.entry)[1] == []
    assert home.failures() == {}

    assert len(pod.ensure(f"{repository.url}@{'0' * 40}")[1]) == 1
    assert pod.ensure(repository.entry)[1] == []


def test_two_workers_at_once_install_once(pod: Pod) -> None:
    (pod.folder / "wait").touch()
    repository = pod.repository("Nodes", **{"install.py": INSTALLER.format(notes=str(pod.folder))})
    workers = [pod.command(repository.entry) for _ in range(2)]
    wait_for((pod.folder / "ran").exists)
    (pod.folder / "go").touch()

    ends = [worker.communicate(timeout=DEADLINE_S) for worker in workers]

    assert [worker.returncode for worker in workers] == [0, 0], ends
    assert [out.strip() for out, _ in ends] == [str(pod.python)] * 2
    assert len((pod.folder / "ran").read_text().splitlines()) == 1
    assert (pod.nodes / "Nodes/__init__.py").exists()


def test_a_worker_that_is_killed_leaves_it_to_the_next(pod: Pod) -> None:
    (pod.folder / "wait").touch()
    repository = pod.repository("Nodes", **{"install.py": INSTALLER.format(notes=str(pod.folder))})
    first = pod.command(repository.entry)
    wait_for(lambda: (pod.folder / "ran").exists() and (pod.folder / "ran").read_text().endswith("\n"))
    installer = psutil.Process(int((pod.folder / "ran").read_text()))
    first.send_signal(signal.SIGKILL)
    first.communicate(timeout=DEADLINE_S)
    # Its guard ends what it had started.
    installer.wait(DEADLINE_S)
    assert not (pod.nodes / "Nodes").exists()
    (pod.folder / "go").touch()

    _, failures = pod.ensure(repository.entry)

    assert failures == []
    assert [path.name for path in pod.nodes.iterdir()] == ["Nodes"]
    assert len((pod.folder / "ran").read_text().splitlines()) == 2


def test_one_that_never_ends_is_ended(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install_module, "INSTALL_S", 3.0)
    (pod.folder / "wait").touch()
    endless = pod.repository("Endless", **{"install.py": INSTALLER.format(notes=str(pod.folder))})
    good = pod.repository("Good")

    _, [failure] = pod.ensure(endless.entry, good.entry)

    assert "Endless was not installed: python was not done in time" in failure
    assert [path.name for path in pod.nodes.iterdir()] == ["Good"]
    assert not psutil.pid_exists(int((pod.folder / "ran").read_text()))


def test_a_stop_ends_it(pod: Pod) -> None:
    (pod.folder / "wait").touch()
    repository = pod.repository("Nodes", **{"install.py": INSTALLER.format(notes=str(pod.folder))})

    with pytest.raises(InstallStopped):
        replace(pod.installer(repository.entry), stopped=(pod.folder / "ran").exists).ensure()

    assert not (pod.nodes / "Nodes").exists()


def test_a_lock_that_is_held_too_long_is_not_waited_for(pod: Pod) -> None:
    repository = pod.repository("Nodes")
    held, over = threading.Event(), threading.Event()

    def hold() -> None:
        with ExtensionHome.of(pod.root, pod.workspace).locked(time.monotonic() + DEADLINE_S, lambda: False):
            held.set()
            over.wait(DEADLINE_S)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(DEADLINE_S)
    try:
        python, failures = replace(pod.installer(repository.entry), until_s=time.monotonic() + 1.5).ensure()
    finally:
        over.set()
        thread.join()

    assert python == pod.python
    assert failures == ["No extension was looked at: another worker is still installing."]
    assert (pod.workspace / "ComfyUI.lock").exists()


def test_the_registry_is_asked_for_names(pod: Pod) -> None:
    packages = {
        ("my-nodes", "1.0.0"): package(**{"version.txt": "1.0.0"}),
        ("my-nodes", "1.1.0"): package(**{"version.txt": "1.1.0"}),
        ("older", "1.0.0"): package(**{"version.txt": "1.0.0", "../outside.py": ""}),
        ("older", "2.0.0"): package(**{"version.txt": "2.0.0"}),
        ("broken", "1.0.0"): b"no zip",
    }
    with running_registry(packages) as registry:
        wanted = ("my-nodes", "older@1.0.0", "broken", "unknown")
        _, failures = pod.ensure(*wanted, registry=registry.url)
        pod.ensure(*wanted, registry=registry.url)

    assert (pod.nodes / "my-nodes/version.txt").read_text() == "1.1.0"
    assert (pod.nodes / "older/version.txt").read_text() == "1.0.0"
    assert sorted(path.name for path in pod.nodes.iterdir()) == ["my-nodes", "older"]
    assert "broken was not installed: the registry's package is not a complete zip archive" in failures[0]
    assert "unknown was not installed: the registry has no unknown" in failures[1]
    assert registry.asked == ["my-nodes@1.1.0", "older@1.0.0", "broken@1.0.0", "unknown@"]


def test_a_registry_that_is_away_stops_nothing(pod: Pod) -> None:
    _, [failure] = pod.ensure("my-nodes")

    assert "my-nodes was not installed: the registry cannot be reached: ConnectError" in failure


class TestAComfyUIOfTheImage:
    def test_gets_them_from_the_volume_and_stays_as_it_is(self, image: Pod) -> None:
        make_wheel(image.wheels, "needed_package")
        repository = image.repository("Nodes", **{"requirements.txt": "needed_package\ntorch\n"})

        python, failures = image.ensure(repository.entry)

        assert failures == []
        assert python.is_relative_to(image.workspace)
        assert (image.nodes / "Nodes").resolve().is_relative_to(image.workspace)
        assert image.imports(python, "needed_package") == "1.0"
        assert image.imports(python, "torch") == TORCH
        assert image.imports(image.python, "needed_package") is None

    def test_the_next_container_only_links_them(self, image: Pod) -> None:
        installer = INSTALLER.format(notes=str(image.folder))
        repository = image.repository("Nodes", **{"install.py": installer})
        python, _ = image.ensure(repository.entry)
        (image.nodes / "Nodes").unlink()

        assert image.ensure(repository.entry) == (python, [])

        assert image.said == []
        assert (image.nodes / "Nodes/__init__.py").exists()
        assert len((image.folder / "ran").read_text().splitlines()) == 1

    def test_another_image_gets_its_own(self, image: Pod) -> None:
        repository = image.repository("Nodes")
        python, _ = image.ensure(repository.entry)
        [packages] = (image.root / ".venv").glob("lib/python*/site-packages")
        (packages / "newer-2.0.dist-info").mkdir()
        (packages / "newer-2.0.dist-info/METADATA").write_text("Name: newer\nVersion: 2.0\n")

        other, failures = image.ensure(repository.entry)

        assert failures == []
        assert other != python
        assert (image.nodes / "Nodes").resolve().is_relative_to(other.parents[2])

    def test_what_the_image_has_is_not_installed(self, image: Pod) -> None:
        repository = image.repository("Nodes")
        (image.nodes / "Nodes").mkdir()

        assert image.ensure(repository.entry) == (image.python, [])

        assert not (image.nodes / "Nodes").is_symlink()

    def test_building_an_image_installs_in_place_and_fails_if_one_fails(self, image: Pod) -> None:
        make_wheel(image.wheels, "needed_package")
        good = image.repository("Good", **{"requirements.txt": "needed_package\n"})
        bad = image.repository("Bad", **{"requirements.txt": "nowhere\n"})

        ended = [build(image, good.entry), build(image, good.entry, bad.entry)]

        assert [done.returncode for done in ended] == [0, 1]
        assert "No matching distribution found for nowhere" in ended[1].stderr
        assert [(path.name, path.is_symlink()) for path in image.nodes.iterdir()] == [("Good", False)]
        assert image.imports(image.python, "needed_package") == "1.0"
        assert list(image.workspace.iterdir()) == []


def build(image: Pod, *wanted: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lorapod.engines.comfyui.extensions", "--in-place", *wanted],
        env={**image.environment, "COMFYUI_PATH": str(image.root), "WORKSPACE_PATH": str(image.workspace)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_health_says_where_they_cannot_be_installed(tmp_path: Path) -> None:
    [problem] = extension_problems("my-nodes", None, tmp_path).values()

    assert "ComfyUI's folder is not on this machine" in problem
    assert extension_problems("", None, tmp_path) == {}


def test_a_damaged_note_of_a_failure_stops_nothing(pod: Pod) -> None:
    repository = pod.repository("Nodes")
    failed = pod.workspace / "ComfyUI.extensions/failed"
    failed.mkdir(parents=True)
    (failed / "Nodes.json").write_text(json.dumps({"name": 1}))
    (failed / "Other.json").write_text("{")

    assert pod.ensure(repository.entry)[1] == []


def wait_for(condition: Callable[[], bool]) -> None:
    until_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < until_s
        time.sleep(0.02)
