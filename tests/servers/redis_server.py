"""A real Redis server for tests."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import SecretStr
from tests.servers.ports import free_port

READY_S = 20.0


class RunningRedis:
    """A server on a free loopback port, with a folder of its own; can be frozen, killed and started again."""

    def __init__(
        self, folder: Path, *, password: str | None = None, more: Mapping[str, object] | None = None
    ) -> None:
        """Start it; `more` are further options."""
        self._more = more or {}
        self._folder = folder
        self._password = password
        self.port = free_port()
        self._popen: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> SecretStr:
        return self.url_with(self._password)

    def url_with(self, password: str | None) -> SecretStr:
        login = f":{password}@" if password is not None else ""
        return SecretStr(f"redis://{login}127.0.0.1:{self.port}/0")

    def start(self) -> None:
        """Start, and wait until it answers."""
        program = shutil.which("redis-server")
        assert program is not None, "redis-server is missing: scripts/test-servers.sh installs it"
        options = {
            "bind": "127.0.0.1",
            "port": self.port,
            "dir": self._folder,
            "appendonly": "yes",
            "save": "",
            **self._more,
        }
        if "cluster-enabled" in options:
            # By itself it takes the port 10,000 above, which may be taken, or be none.
            options["cluster-port"] = free_port()
        if self._password is not None:
            options["requirepass"] = self._password
        argv = [program, *(word for key, value in options.items() for word in (f"--{key}", str(value)))]
        with (self._folder / "server.log").open("ab") as log:
            self._popen = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + READY_S
        while not self._answers():
            said = (self._folder / "server.log").read_text(errors="replace")[-2000:]
            assert self._popen.poll() is None, f"redis-server ended: {said}"
            assert time.monotonic() < deadline, f"redis-server does not answer: {said}"
            time.sleep(0.02)

    def signal(self, number: signal.Signals) -> None:
        assert self._popen is not None
        self._popen.send_signal(number)

    def kill(self) -> None:
        """End it at once, as a power cut would; returns when it is gone."""
        assert self._popen is not None
        self.signal(signal.SIGKILL)
        self._popen.wait()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It takes connections and commands, and answers none."""
        self.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal(signal.SIGCONT)

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            # Until the log of an earlier run is read, it says so; a password that is missing is an answer too.
            return connection.recv(100).startswith((b"+PONG", b"-NOAUTH"))
        return False


@contextmanager
def running_redis(
    *, password: str | None = None, more: Mapping[str, object] | None = None
) -> Iterator[RunningRedis]:
    """A server, gone with its folder afterwards."""
    with tempfile.TemporaryDirectory(prefix="lorapod-redis-") as folder:
        server = RunningRedis(Path(folder), password=password, more=more)
        try:
            yield server
        finally:
            server.kill()
