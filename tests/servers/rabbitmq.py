"""A real RabbitMQ broker for tests."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from pydantic import SecretStr
from tests.servers.ports import free_ports

READY_S = 60.0
#: RABBITMQ_PROGRAMS names those of another release.
PROGRAMS = Path(os.environ.get("RABBITMQ_PROGRAMS", "/usr/lib/rabbitmq/bin"))
#: What a client begins with; a broker that is ready answers with the start of a connection.
GREETING = b"AMQP\x00\x00\x09\x01"


class RunningRabbitMQ:
    """A broker on free loopback ports, with its own folder and node; a test may freeze, kill and restart it."""

    def __init__(self, folder: Path, *, more: str = "") -> None:
        """Start it; `more` are further lines of its settings."""
        self._folder = folder
        self.port, node_port, names_port = free_ports(3)
        node = f"lorapod{secrets.token_hex(4)}@localhost"
        settings = folder / "rabbitmq.conf"
        settings.write_text(
            f"listeners.tcp.default = 127.0.0.1:{self.port}\nlog.console = false\nlog.file.level = warning\n"
            # A broker that waits for disk space would look frozen.
            "disk_free_limit.absolute = 1MB\nvm_memory_high_watermark.absolute = 1GB\n" + more
        )
        self._environment = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(folder),
            "RABBITMQ_NODENAME": node,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(node_port),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_CONFIG_FILE": str(settings),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            # Two schedulers are plenty, and leave the machine to the tests.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 +sbwt none",
            "ERL_EPMD_PORT": str(names_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }
        self._popen: subprocess.Popen[bytes] | None = None
        # The broker itself would start one that outlives it.
        names = shutil.which("epmd")
        assert names is not None, "epmd is missing: scripts/test-servers.sh installs it with rabbitmq-server"
        self._names = subprocess.Popen(
            [names], env=self._environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        self.start()

    @property
    def url(self) -> SecretStr:
        return self.url_with("guest")

    def url_with(self, password: str, *, user: str = "guest") -> SecretStr:
        return SecretStr(f"amqp://{user}:{password}@127.0.0.1:{self.port}/")

    def start(self) -> None:
        """Start, and wait until it takes connections."""
        program = PROGRAMS / "rabbitmq-server"
        assert program.exists(), "rabbitmq-server is missing: scripts/test-servers.sh installs it"
        with (self._folder / "server.log").open("ab") as log:
            self._popen = subprocess.Popen(
                [program],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + READY_S
        while not self._answers():
            said = (self._folder / "server.log").read_text(errors="replace")[-2000:]
            assert self._popen.poll() is None, f"rabbitmq-server ended: {said}"
            assert time.monotonic() < deadline, f"rabbitmq-server does not answer: {said}"
            time.sleep(0.05)

    def control(self, *arguments: str) -> str:
        """Return the output of `rabbitmqctl`."""
        command = [str(PROGRAMS / "rabbitmqctl"), "--quiet", *arguments]
        ended = subprocess.run(
            command,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
        )
        return ended.stdout

    def signal(self, number: signal.Signals) -> None:
        assert self._popen is not None
        os.killpg(self._popen.pid, number)
        if number is signal.SIGSTOP:
            # The signal reaches one thread after another; until it has, the broker answers.
            deadline = time.monotonic() + READY_S
            while not _is_stopped(self._popen.pid):
                assert time.monotonic() < deadline, "the broker does not stop"
                time.sleep(0.01)

    def store_declared(self) -> None:
        """Have queues and bindings that were declared a moment ago on the disk, which a kill would lose."""
        self.control("eval", "mnesia:sync_log().")

    def kill(self) -> None:
        """Kill it, as a power cut would; return once it is gone."""
        assert self._popen is not None
        with suppress(ProcessLookupError):
            self.signal(signal.SIGKILL)
        self._popen.wait()

    def close(self) -> None:
        """Kill it, and its server of node names (epmd)."""
        self.kill()
        self._names.kill()
        self._names.wait()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Freeze it for a block: it accepts connections, and does not answer."""
        self.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal(signal.SIGCONT)

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
            connection.sendall(GREETING)
            return connection.recv(1) != b""
        return False


@contextmanager
def running_rabbitmq(*, more: str = "") -> Iterator[RunningRabbitMQ]:
    """Start a broker, and remove it with its folder after the block."""
    with tempfile.TemporaryDirectory(prefix="lorapod-rabbitmq-", ignore_cleanup_errors=True) as folder:
        server = RunningRabbitMQ(Path(folder), more=more)
        try:
            yield server
        finally:
            server.close()


def _is_stopped(group: int) -> bool:
    """Return whether every thread of the process group is stopped."""
    states = []
    for process in psutil.process_iter():
        with suppress(ProcessLookupError, FileNotFoundError, psutil.NoSuchProcess):
            if os.getpgid(process.pid) == group:
                for thread in process.threads():
                    stat = Path(f"/proc/{process.pid}/task/{thread.id}/stat").read_text()
                    states.append(stat.rpartition(")")[2].split()[0])
    return all(state in "TZ" for state in states)
