"""Extensions of ComfyUI to install: git repositories, wheels for pip, and a stand-in for the registry."""

from __future__ import annotations

import io
import subprocess
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from aiohttp import web
from tests.servers.http_thread import serving

_NODES = "NODE_CLASS_MAPPINGS = {}\n"


class Repository:
    """A git repository with an extension in it."""

    def __init__(self, folder: Path, **files: str) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self._git("init", "-q")
        self.commit = self.change(**{"__init__.py": _NODES, **files})

    @property
    def url(self) -> str:
        return f"file://{self.folder}"

    @property
    def entry(self) -> str:
        """As COMFYUI_NODES names its first commit."""
        return f"{self.url}@{self.commit}"

    def change(self, **files: str) -> str:
        """Commit files; answers the commit."""
        for name, text in files.items():
            (self.folder / name).write_text(text)
        self._git("add", "-A")
        self._git("commit", "-qm", "A change")
        return self._git("rev-parse", "HEAD")

    def _git(self, *words: str) -> str:
        command = ["git", "-c", "user.name=n", "-c", "user.email=e@example.com", *words]
        done = subprocess.run(command, cwd=self.folder, check=True, capture_output=True, text=True)
        return done.stdout.strip()


def make_wheel(folder: Path, name: str, version: str = "1.0") -> None:
    """Put a package with one module of its name into a folder that pip finds packages in."""
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}.py", f"__version__ = {version!r}\n")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")


def package(**files: str) -> bytes:
    """A package of the registry: a zip with the extension's files at its top."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in {"__init__.py": _NODES, **files}.items():
            archive.writestr(name, text)
    return content.getvalue()


class RegistryStandIn:
    """Answers as ComfyUI's registry does to the question that its command line asks before it installs a node.

    `GET /nodes/{id}/install[?version=]` gives JSON with `version` and `downloadUrl`, or 404.
    """

    def __init__(self, packages: Mapping[tuple[str, str], bytes]) -> None:
        self.packages = packages
        self.url = ""
        #: Every install that was asked for, as name@version.
        self.asked: list[str] = []

    def application(self) -> web.Application:
        application = web.Application()
        application.router.add_get("/nodes/{id}/install", self._install)
        application.router.add_get("/packages/{id}/{version}.zip", self._package)
        return application

    async def _install(self, request: web.Request) -> web.Response:
        name = request.match_info["id"]
        versions = sorted(version for id_, version in self.packages if id_ == name)
        version = request.query.get("version", versions[-1] if versions else "")
        self.asked.append(f"{name}@{version}")
        if version not in versions:
            return web.json_response({"error": "", "message": "Node not found"}, status=404)
        address = f"{self.url}/packages/{name}/{version}.zip"
        return web.json_response({"id": "x", "version": version, "deprecated": False, "downloadUrl": address})

    async def _package(self, request: web.Request) -> web.Response:
        return web.Response(body=self.packages[request.match_info["id"], request.match_info["version"]])


@contextmanager
def running_registry(packages: Mapping[tuple[str, str], bytes]) -> Iterator[RegistryStandIn]:
    registry = RegistryStandIn(packages)
    with serving(registry.application) as port:
        registry.url = f"http://127.0.0.1:{port}"
        yield registry
