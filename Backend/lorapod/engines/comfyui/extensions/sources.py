"""Fetches the files of an extension: from its git repository, or from ComfyUI's registry."""

from __future__ import annotations

import re
import shutil
import time
import zipfile
from pathlib import Path
from typing import Any

import httpx
from yarl import URL

from lorapod.engines.comfyui.extensions.command import CommandRunner, InstallStopped
from lorapod.engines.comfyui.extensions.wanted import Extension
from lorapod.errors import NotFound, TooLarge, UpstreamError, WorkerTimeout

#: Of a package of the registry, packed and unpacked.
_MAX_BYTES = 2_000_000_000
_TIMEOUT = httpx.Timeout(60.0, connect=15.0)
_CHECK = "Check its URL and commit in COMFYUI_NODES."
#: The name and password in a URL; the end of a sentence may be cut off.
_URL_USER = re.compile(r"://[^\s'\"]*@|://[^\s/'\"]*:[^\s/'\"]*$")
#: git never asks for a password.
_GIT = {"GIT_TERMINAL_PROMPT": "0", "GCM_INTERACTIVE": "never"}


def fetch_extension(extension: Extension, folder: Path, runner: CommandRunner, registry: str) -> None:
    """Put the files of an extension into `folder`, which must not exist.

    Raises:
        UpstreamError, NotFound, TooLarge, WorkerTimeout: it cannot be fetched; says why and what to do.
        InstallStopped: the installation was to be stopped.
        OSError: the disk failed.
    """
    folder.mkdir(parents=True)
    if extension.repository is not None:
        _fetch_commit(extension, folder, runner)
    else:
        _fetch_package(extension, folder, runner, registry)


def _fetch_commit(extension: Extension, folder: Path, runner: CommandRunner) -> None:
    """Fetch this commit only; its hash is its checksum."""
    assert extension.repository is not None
    assert extension.commit is not None
    try:
        runner.run(["git", "init", "-q", "."], cwd=folder, **_GIT)
        fetch = ["git", "fetch", "-q", "--depth", "1", "--", extension.repository, extension.commit]
        runner.run(fetch, cwd=folder, **_GIT)
        runner.run(["git", "checkout", "-q", "--detach", "FETCH_HEAD"], cwd=folder, **_GIT)
        if (folder / ".gitmodules").exists():
            runner.run(
                ["git", "submodule", "update", "-q", "--init", "--recursive", "--depth", "1"],
                cwd=folder,
                **_GIT,
            )
    except UpstreamError as error:
        raise UpstreamError(f"git: {_URL_USER.sub('://', error.message)}", hint=_CHECK) from None
    shutil.rmtree(folder / ".git")


def _fetch_package(extension: Extension, folder: Path, runner: CommandRunner, registry: str) -> None:
    packed = folder.with_name(f"{folder.name}.zip")
    try:
        with httpx.Client(timeout=_TIMEOUT, follow_redirects=True) as client:
            _download(client, _download_url(client, extension, registry), packed, runner)
        _unpack(packed, folder)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UpstreamError(
            f"the registry cannot be reached: {type(error).__name__}",
            hint="The next start tries again; a git URL at a commit needs no registry.",
        ) from None
    finally:
        packed.unlink(missing_ok=True)


def _download_url(client: httpx.Client, extension: Extension, registry: str) -> str:
    query = {} if extension.version is None else {"version": extension.version}
    address = URL(registry) / "nodes" / extension.name / "install"
    response = client.get(str(address.with_query(query)))
    if response.status_code == httpx.codes.NOT_FOUND:
        raise NotFound(
            f"the registry has no {extension.source}",
            hint="Look its name and version up at registry.comfy.org, and correct COMFYUI_NODES.",
        )
    answer = _json(response) if response.is_success else None
    url = answer.get("downloadUrl") if isinstance(answer, dict) else None
    if not isinstance(url, str) or not url:
        raise UpstreamError(
            f"the registry answered {response.status_code} without a package to download",
            hint="The next start tries again; a git URL at a commit needs no registry.",
        )
    return url


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return None


def _download(client: httpx.Client, url: str, packed: Path, runner: CommandRunner) -> None:
    size_bytes = 0
    with client.stream("GET", url) as response, packed.open("wb") as file:
        if not response.is_success:
            raise UpstreamError(
                f"the registry's package answered {response.status_code}", hint="The next start tries again."
            )
        for chunk in response.iter_bytes():
            size_bytes += file.write(chunk)
            if runner.stopped():
                raise InstallStopped
            if time.monotonic() >= runner.until_s:
                raise WorkerTimeout("the registry's package did not arrive in time")
            if size_bytes > _MAX_BYTES:
                raise TooLarge(f"the registry's package is larger than {_MAX_BYTES} bytes")


def _unpack(packed: Path, folder: Path) -> None:
    """Unpack within `folder`: zipfile leaves `..` and leading slashes out of names, and makes no links."""
    try:
        with zipfile.ZipFile(packed) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > _MAX_BYTES:
                raise TooLarge(f"the registry's package unpacks to more than {_MAX_BYTES} bytes")
            archive.extractall(folder)
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise UpstreamError(
            "the registry's package is not a complete zip archive", hint="The next start tries again."
        ) from error
