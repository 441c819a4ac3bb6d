"""Images built and run without a container engine: buildah on a base that debootstrap makes."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
BASE = "localhost/lorapod-test-base"
#: The base that the images are tried on, in the place of the CUDA one, which cannot be had everywhere.
SUITE = "bookworm"

#: A line of `pip config list`, for example `:env:.find-links='/opt/wheels'`.
_PIP_SETTING = re.compile(r"(?::env:|global|install)\.(?P<name>[\w-]+)=(?P<value>.+)")

#: Run in a worker's place by the endpoint: starts the container with what the endpoint gave it.
_LAUNCHER = """
import json, os, sys
before, after = json.loads(sys.argv[1]), json.loads(sys.argv[2])
given = [part for name in os.environ if name.startswith("RUNPOD_") for part in ("--env", f"{name}={os.environ[name]}")]
os.execvp(before[0], [*before, *given, *after])
"""


def pip_settings() -> dict[str, str]:
    """How this machine's pip finds packages; what the environment says goes before what files say."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], check=True, capture_output=True, text=True
    )
    found: dict[str, str] = {}
    for line in sorted(listed.stdout.splitlines(), reverse=True):
        if (match := _PIP_SETTING.fullmatch(line)) is not None:
            found[match["name"]] = str(ast.literal_eval(match["value"]))
    return found


@dataclass(frozen=True, kw_only=True)
class Buildah:
    """A store of images below `root`; needs to be root itself."""

    root: Path

    @cached_property
    def command(self) -> Sequence[str]:
        """The program with the options that every call has."""
        return ("buildah", "--root", str(self.root / "storage"), "--runroot", str(self.root / "run"))

    def call(self, *arguments: str) -> str:
        """What one call answers."""
        done = subprocess.run([*self.command, *arguments], check=False, capture_output=True, text=True)
        assert done.returncode == 0, f"{arguments}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.stdout.strip()

    def make_base(self) -> None:
        """A Debian with the certificates of authorities and a Python that can make environments, as `BASE`."""
        folder = self.root / SUITE
        subprocess.run(
            [
                "debootstrap",
                "--variant=minbase",
                "--include=ca-certificates,python3,python3-venv",
                SUITE,
                str(folder),
            ],
            check=True,
            capture_output=True,
        )
        container = self.call("from", "scratch")
        self.call("copy", "--quiet", container, f"{folder}/", "/")
        self.call("commit", "--quiet", container, BASE)

    def build(self, target: str, **arguments: str) -> str:
        """Build a target of the Dockerfile with these build arguments; its image's name."""
        image = f"localhost/lorapod-test-{target}"
        policy = self.root / "policy.json"
        policy.write_text(json.dumps({"default": [{"type": "insecureAcceptAnything"}]}))
        options = {"BASE_IMAGE": BASE, "FAST_BASE_IMAGE": BASE, **arguments}
        self.call(
            "build",
            "--isolation=chroot",
            "--format=docker",  # the other one has no health checks
            f"--signature-policy={policy}",
            f"--target={target}",
            f"--tag={image}",
            *(f"--build-arg={name}={value}" for name, value in options.items()),
            *self._mounts(),
            str(ROOT),
        )
        return image

    def image(self, name: str) -> dict[str, Any]:
        """The image's own configuration."""
        return dict(json.loads(self.call("inspect", "--type=image", name))["Docker"]["config"])

    def launcher(self, image: str, volume: Path, environment: dict[str, str]) -> list[str]:
        """A worker's command: the image's entry point in a fresh container, with the volume where RunPod has it."""
        entry = self.image(image)["Entrypoint"]
        container = self.call("from", f"--signature-policy={self.root / 'policy.json'}", image)
        before = [
            *self.command,
            "run",
            "--isolation=chroot",
            f"--volume={volume}:/runpod-volume",
            *(f"--env={name}={value}" for name, value in environment.items()),
        ]
        return [sys.executable, "-c", _LAUNCHER, json.dumps(before), json.dumps([container, "--", *entry])]

    def _mounts(self) -> Iterator[str]:
        """What a build needs of this machine to install packages as this machine does."""
        settings = pip_settings()
        if not settings:
            return
        path = self.root / "pip.conf"
        path.write_text("[global]\n" + "".join(f"{name} = {value}\n" for name, value in settings.items()))
        yield f"--volume={path}:/etc/pip.conf:ro"
        for place in sorted({*_places(settings)}):
            yield f"--volume={place}:{place}:ro"


def _places(settings: dict[str, str]) -> Iterator[Path]:
    """The folders of this machine that its pip's settings name."""
    for name, value in settings.items():
        for word in value.split():
            if word.startswith("file://"):
                # An index on disk leads to files beside it.
                yield Path(word.removeprefix("file://")).parent
            elif word.startswith("/") and Path(word).exists():
                # A folder whole: a file in it may be a link to another.
                yield Path(word) if name == "find-links" else Path(word).parent
