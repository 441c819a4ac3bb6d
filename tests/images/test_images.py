"""The images, built from the Dockerfile and started as RunPod starts them, behind the local endpoint."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.error_log import error_log
from tests.images.buildah import Buildah

from lorapod import weights
from lorapod.client import Client
from lorapod.client.drawing.creature import draw_creatures
from lorapod.client.serving import serving
from lorapod.endpoint import EndpointConfig

pytestmark = [pytest.mark.image, pytest.mark.timeout(1200)]

ENVIRONMENT = {
    "TINI_SUBREAPER": "1",  # here it is not the first process, as it is in a real container
    "RUNPOD_SKIP_GPU_CHECK": "true",
    "RUNPOD_SKIP_AUTO_SYSTEM_CHECKS": "true",
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    # There is no mount point in this kind of container by which the script could know the volume.
    "VOLUME_PATH": "/runpod-volume",
}
#: What stands in no image: what was built with, what was tried with, and what is not needed there.
ABSENT = ("tests", "docs", ".git", "Makefile", "build")


@pytest.fixture(scope="module")
def buildah(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Buildah]:
    assert os.geteuid() == 0, "building images needs root"
    built = Buildah(root=tmp_path_factory.mktemp("images"))
    built.make_base()
    yield built
    # What is mounted in it would otherwise be in the way of whoever removes the folder.
    built.call("rm", "--all")
    shutil.rmtree(built.root, ignore_errors=True)


@pytest.fixture(scope="module")
def light(buildah: Buildah) -> str:
    """The worker target's part without AI Toolkit, with the embedded trainer in its place."""
    return buildah.build("light", EXTRAS="builtin,redis", VERSION="1.2.3", REVISION="abc")


@pytest.fixture(scope="module")
def fast(buildah: Buildah) -> str:
    return buildah.build("fast")


def test_a_fast_worker_answers_at_once(buildah: Buildah, fast: str, tmp_path: Path) -> None:
    """Its heavy part is not waited for, and in this test cannot be had."""
    environment = {**ENVIRONMENT, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/nothing"}
    config = EndpointConfig(
        command=buildah.launcher(fast, tmp_path, environment),
        log_folder=error_log.watch(tmp_path / "log"),
        stop_grace_s=60,
    )
    with serving(config) as endpoint, Client(endpoint.url) as client:
        assert client.call("ping", timeout_s=60)["pong"] is True
        assert client.call("echo", text="hello")["echo"]
        assert client.call("health")["environment"]["status"] in {"waiting", "preparing", "failed"}


def test_a_fast_image_is_slim(buildah: Buildah, fast: str) -> None:
    root = Path(buildah.call("mount", buildah.call("from", fast)))
    (packages,) = (root / "opt/lorapod/lib").glob("python3*/site-packages")
    installed = {path.name for path in packages.iterdir()}

    assert "runpod" in installed
    assert not installed & {"torch", "diffusers", "lorapod", "matplotlib"}


def test_a_light_worker_says_what_it_is(buildah: Buildah, light: str) -> None:
    config = buildah.image(light)

    assert config["Entrypoint"] == ["tini", "--", "/app/startup.sh"]
    assert config["Healthcheck"]["Test"] == ["CMD", "/app/startup.sh", "healthy"]
    assert config["Labels"]["org.opencontainers.image.version"] == "1.2.3"
    assert config["Labels"]["org.opencontainers.image.revision"] == "abc"
    assert "RUNPOD_DEBUG_LEVEL=INFO" in config["Env"]
    assert not [
        line for line in config["Env"] if line.startswith(("PIP_CERT", "PIP_INDEX", "PIP_FIND", "HF_TOKEN"))
    ]


def test_nothing_stands_in_it_that_is_not_needed(buildah: Buildah, light: str) -> None:
    root = Path(buildah.call("mount", buildah.call("from", light)))

    assert {path.name for path in (root / "app").iterdir()} >= {
        "Backend",
        "SimpleBackend",
        "FastBackend",
        "startup.sh",
    }
    assert not [name for name in ABSENT if (root / "app" / name).exists()]
    assert not [
        *root.rglob("*.safetensors"),
        *(root / "root").glob(".cache/*"),
        *(root / "app").rglob("*.env"),
    ]


def test_a_light_worker_trains(buildah: Buildah, light: str, tmp_path: Path) -> None:
    """Its start-up runs, and a caller pings it, uploads, trains and downloads."""
    volume = tmp_path / "volume"
    tiny = [
        sys.executable,
        "-m",
        "lorapod.trainers.builtin.tiny",
        str(volume / "models/tiny"),
        "--fit-steps",
        "0",
    ]
    subprocess.run(tiny, check=True, capture_output=True)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    draw_creatures(pictures)
    command = buildah.launcher(light, volume, ENVIRONMENT)
    config = EndpointConfig(command=command, log_folder=error_log.watch(tmp_path / "logs"), stop_grace_s=60)
    with serving(config) as endpoint, Client(endpoint.url) as client:
        assert client.call("ping")["pong"] is True
        assert client.call("health")["trainers"][1]["available"] is True

        client.upload_dataset(pictures, "creatures")
        training = client.train(
            preset="sd15",
            model="models/tiny",
            dataset={"training_name": "creatures"},
            steps=2,
            resolution=64,
            trainer="builtin",
        )
        training.wait(interval_s=0.2, timeout_s=300)
        lora = training.download(tmp_path / "lora.safetensors")

    assert weights.read_header(lora).tensor_count
