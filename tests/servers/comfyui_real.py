"""A real ComfyUI, where one is installed: COMFYUI_PATH, COMFYUI_PYTHON and COMFYUI_ARGS as the worker reads them."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.ports import free_port

from lorapod.engines.comfyui.server import find_installation
from lorapod.engines.comfyui.server_probe import look_at
from lorapod.installations import Installation

START_S = 300


def real_installation() -> tuple[Installation | None, str]:
    """The ComfyUI that COMFYUI_PATH names, and why there is none."""
    path, python = os.environ.get("COMFYUI_PATH"), os.environ.get("COMFYUI_PYTHON")
    if not path:
        return None, "no ComfyUI: set COMFYUI_PATH to a checkout"
    return find_installation(Path(path), Path(python) if python else None, Path(path))


def real_arguments() -> list[str]:
    return shlex.split(os.environ.get("COMFYUI_ARGS", ""))


@functools.cache
def shared_real() -> str:
    """The address of one real server for this whole process, which ends with it.

    Raises:
        LookupError: there is no ComfyUI; says why.
    """
    installation, missing = real_installation()
    if installation is None:
        raise LookupError(missing)
    stack = contextlib.ExitStack()
    atexit.register(stack.close)
    base = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    return stack.enter_context(running_real(installation, base))


@contextmanager
def running_real(
    installation: Installation, base: Path, *, custom_nodes: Path | None = None
) -> Iterator[str]:
    """A server on the processor, with its folders in `base` and the nodes of `custom_nodes`; yields its address."""
    for name in ("custom_nodes", "input", "output", "models/loras", "models/checkpoints"):
        (base / name).mkdir(parents=True)
    if custom_nodes is not None:
        shutil.copytree(custom_nodes, base / "custom_nodes", dirs_exist_ok=True)
    port = free_port()
    command = [str(installation.python), str(installation.entry), "--cpu", "--port", str(port)]
    command += ["--base-directory", str(base), *real_arguments()]
    url = f"http://127.0.0.1:{port}"
    with (base / "server.log").open("wb") as log:
        server = subprocess.Popen(
            command, cwd=installation.root, stdout=log, stderr=log, start_new_session=True
        )
        try:
            until_s = time.monotonic() + START_S
            while look_at(url, 1.0).stats is None:
                assert server.poll() is None, (base / "server.log").read_text()[-2000:]
                assert time.monotonic() < until_s, "ComfyUI does not answer"
                time.sleep(0.2)
            yield url
        finally:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
