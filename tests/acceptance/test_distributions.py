"""The two distributions of this tree: built, installed beside each other, and used, as people do."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import tomllib
import zipfile
from collections.abc import Sequence
from email.parser import Parser
from fnmatch import fnmatch
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import lorapod
from release_parts import distributions
from release_parts.errors import ReleaseError

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "Backend" / "lorapod"

MAX_PACKAGES = 25
#: Modules that need the packages of an extra.
OF_EXTRAS = {"lorapod.client.assistant.server"}
MAX_BYTES = 60_000_000

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

#: A worker that answers what it gets; it needs the SDK alone.
ECHO = """
import runpod

runpod.serverless.start({"handler": lambda job: {"echo": job["input"]}})
"""


def pip(*arguments: str | Path, python: Path | None = None) -> None:
    """Run pip, on the environment of `python` if it is given."""
    chosen = ["--python", str(python)] if python else []
    argv = [sys.executable, "-m", "pip", *chosen, "--disable-pip-version-check", *map(str, arguments)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 0, done.stdout + done.stderr


def wheel_of(folder: Path, source: Path) -> Path:
    # With the build backend of this environment, so that none is fetched for each.
    pip("wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, source)
    (wheel,) = folder.glob("*.whl")
    return wheel


def files_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def requirements_of(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = Parser().parsestr(archive.read(name).decode())
    return metadata.get_all("Requires-Dist") or []


def environment(folder: Path) -> Path:
    """Make an empty environment, without pip; return its Python."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    return folder / "bin" / "python"


def runs(python: Path, code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, "-I", "-c", code], capture_output=True, text=True, check=False, cwd="/", env={}
    )


def left_of_lorapod(python: Path) -> list[str]:
    (packages,) = python.parents[1].glob("lib/python3*/site-packages")
    return sorted(
        str(path.relative_to(packages))
        for path in packages.rglob("*")
        if path.is_file() and "lorapod" in str(path.relative_to(packages)) and path.suffix != ".pyc"
    )


@pytest.fixture(scope="module")
def client_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheel_of(tmp_path_factory.mktemp("client"), ROOT / "client")


@pytest.fixture(scope="module")
def worker_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheel_of(tmp_path_factory.mktemp("worker"), ROOT)


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Path]:
    """What `make release` builds: wheel and source distribution of both."""
    return distributions.build(tmp_path_factory.mktemp("dist"))


def one(built: Sequence[Path], name: str) -> Path:
    (found,) = [path for path in built if fnmatch(path.name, name)]
    return found


@pytest.fixture(scope="module")
def laptop(tmp_path_factory: pytest.TempPathFactory, client_wheel: Path) -> Path:
    """An environment with the client and what it needs, nothing else."""
    python = environment(tmp_path_factory.mktemp("laptop") / "venv")
    pip(
        *("install", "--quiet", "--no-compile", "--constraint", ROOT / "requirements.lock", client_wheel),
        python=python,
    )
    return python


def test_no_file_belongs_to_both_and_none_is_left_out(client_wheel: Path, worker_wheel: Path) -> None:
    client, worker = files_in(client_wheel), files_in(worker_wheel)
    sources = {
        f"lorapod/{path.relative_to(PACKAGE)}"
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    assert client & worker == set()
    assert {name for name in client | worker if ".dist-info/" not in name} == sources


def test_the_worker_names_its_own_needs_and_the_client_beside_it(worker_wheel: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    needed = {
        canonicalize_name(requirement.name): requirement
        for requirement in map(Requirement, requirements_of(worker_wheel))
        if requirement.marker is None
    }

    for name in ("runpod", "huggingface_hub", "PyYAML", "psutil"):
        assert any(line.startswith(name) for line in project["dependencies"])
        assert canonicalize_name(name) in needed
    assert needed[canonicalize_name("lorapod-client")].url == (ROOT / "client").as_uri()


def test_a_release_names_the_client_by_its_version(released: Sequence[Path]) -> None:
    wheel = one(released, "lorapod-*.whl")

    (needed,) = [line for line in requirements_of(wheel) if line.startswith("lorapod-client")]
    assert needed == f"lorapod-client=={wheel.name.split('-')[1]}"


def test_the_command_line_belongs_to_the_client_alone(client_wheel: Path, worker_wheel: Path) -> None:
    entry_points = [name for name in files_in(client_wheel) if name.endswith("entry_points.txt")]

    assert len(entry_points) == 1
    assert not any(name.endswith("entry_points.txt") for name in files_in(worker_wheel))


def test_a_laptop_gets_few_packages_and_few_bytes(laptop: Path) -> None:
    (packages,) = laptop.parents[1].glob("lib/python3*/site-packages")
    distributions = sorted(path.name for path in packages.glob("*.dist-info"))
    size_bytes = sum(path.stat().st_size for path in packages.rglob("*") if path.is_file())

    assert len(distributions) <= MAX_PACKAGES, distributions
    assert size_bytes <= MAX_BYTES


def test_every_module_of_the_client_is_imported_without_the_worker(laptop: Path, client_wheel: Path) -> None:
    modules = sorted(
        name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for name in files_in(client_wheel)
        if name.endswith(".py")
    )
    assert {"lorapod.client.cli", "lorapod.endpoint.server", "lorapod.wire.envelope"} <= set(modules)

    done = runs(laptop, "\n".join(f"import {name}" for name in modules if name not in OF_EXTRAS))

    assert done.returncode == 0, done.stderr


def test_a_command_of_an_extra_says_what_to_install(laptop: Path) -> None:
    called = "import sys; sys.argv = ['lorapod', 'mcp']; from lorapod.client.cli import main; main()"

    done = runs(laptop, called)

    assert done.returncode == 2
    assert "lorapod-client[mcp]" in done.stderr


def test_a_call_goes_from_the_laptops_command_line_through_its_endpoint_and_back(
    laptop: Path, tmp_path: Path
) -> None:
    handler = tmp_path / "echo.py"
    handler.write_text(ECHO)
    code = f"""
        import sys
        from lorapod.client import Client
        from lorapod.client.serving import serving
        from lorapod.endpoint import EndpointConfig

        with serving(EndpointConfig(command=[{sys.executable!r}, {str(handler)!r}])) as endpoint:
            with Client(endpoint.url) as client:
                print(client.call("ping", word="hello"))
    """

    done = runs(laptop, textwrap.dedent(code))

    assert done.returncode == 0, done.stderr
    assert "{'echo': {'type': 'ping', 'word': 'hello'}}" in done.stdout


def test_the_laptops_command_line_explains_itself(laptop: Path) -> None:
    command = laptop.with_name("lorapod")
    done = subprocess.run([command, "--help"], capture_output=True, text=True, check=True, env={}, cwd="/")

    assert "train" in done.stdout


def test_the_demo_says_that_it_needs_the_worker(laptop: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [laptop, "-I", "-m", "lorapod.client.demo", "--out", tmp_path],
        capture_output=True,
        text=True,
        check=False,
        env={},
        cwd="/",
    )

    assert done.returncode == 1
    assert "worker" in done.stdout
    assert "make demo" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(("first", "removed"), [("client", "worker"), ("worker", "client")])
def test_either_goes_without_taking_the_other_along(
    tmp_path: Path, client_wheel: Path, worker_wheel: Path, first: str, removed: str
) -> None:
    wheels = {"client": client_wheel, "worker": worker_wheel}
    names = {"client": "lorapod-client", "worker": "lorapod"}
    kept = "worker" if removed == "client" else "client"
    python = environment(tmp_path / "venv")
    for wheel in (wheels[first], *(wheel for name, wheel in wheels.items() if name != first)):
        pip("install", "--quiet", "--no-deps", "--no-index", "--no-compile", wheel, python=python)
    assert runs(python, "import lorapod.errors, lorapod.clock").returncode == 0

    pip("uninstall", "--quiet", "--yes", names[removed], python=python)

    (packages,) = (tmp_path / "venv").glob("lib/python3*/site-packages")
    assert [name for name in files_in(wheels[kept]) if not (packages / name).is_file()] == []
    assert runs(python, f"import lorapod.{'clock' if kept == 'worker' else 'errors'}").returncode == 0
    assert runs(python, f"import lorapod.{'clock' if removed == 'worker' else 'errors'}").returncode == 1

    pip("uninstall", "--quiet", "--yes", names[kept], python=python)
    assert left_of_lorapod(python) == []


def test_an_editable_worker_shows_the_tree_for_both(tmp_path: Path) -> None:
    python = environment(tmp_path / "venv")
    pip("install", "--quiet", "--no-deps", "--editable", ROOT, python=python)
    found = runs(
        python, "from importlib import metadata as m; print(*m.requires('lorapod'), sep='\\n')"
    ).stdout
    (needed,) = [line for line in found.splitlines() if line.startswith("lorapod-client")]

    pip("install", "--quiet", "--no-deps", needed, python=python)

    shown = runs(
        python, "import lorapod.errors, lorapod.clock as c; print(lorapod.errors.__file__, c.__file__)"
    )
    assert shown.stdout.split() == [str(PACKAGE / "errors.py"), str(PACKAGE / "clock.py")], shown.stderr
    assert python.with_name("lorapod").exists()


def test_wheels_of_the_source_distributions_are_those_of_the_tree(
    tmp_path: Path, released: Sequence[Path], client_wheel: Path, worker_wheel: Path
) -> None:
    from_client = wheel_of(tmp_path / "client", one(released, "lorapod_client-*.tar.gz"))
    from_worker = wheel_of(tmp_path / "worker", one(released, "lorapod-*.tar.gz"))

    assert files_in(from_client) == files_in(client_wheel)
    assert files_in(from_worker) == files_in(worker_wheel)


def test_a_release_installs_and_says_its_version(released: Sequence[Path]) -> None:
    distributions.check(released, lorapod.__version__)

    with pytest.raises(ReleaseError, match=r"not \['lorapod-9\.9\.9"):
        distributions.check(released, "9.9.9")


def test_the_checksums_of_a_release_hold(released: Sequence[Path]) -> None:
    sums = distributions.write_sums(released[0].parent)

    checked = subprocess.run(
        ["sha256sum", "--check", sums.name], cwd=sums.parent, capture_output=True, text=True, check=True
    )
    assert checked.stdout.count(": OK") == len(released) == 4


def test_both_have_the_same_licence() -> None:
    assert (ROOT / "client" / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
