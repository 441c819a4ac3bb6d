"""What callers of worker-comfyui see, through the real worker loop; ComfyUI is a stand-in.

The requests have the shape of that worker's own examples: see `tests/servers/comfyui_requests.py`.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.integration.endpoint_caller import Caller
from tests.servers import comfyui_requests as requests
from tests.servers.comfyui import running_comfyui
from tests.servers.comfyui_graphs import Graph, node

from lorapod.endpoint import EndpointConfig, LocalEndpoint

WORKER = Path(__file__).parents[2] / "Backend/rp_handler.py"
KEY = "comfy-org-key-that-must-not-leak"
ENDPOINT_KEY = "key-of-the-endpoint-that-must-not-leak"

pytestmark = pytest.mark.acceptance


def with_video() -> Graph:
    graph = requests.sdxl_turbo()
    return {
        **graph,
        "20": node("VHS_VideoCombine", images=["8", 0], filename_prefix="clip"),
        "21": node("SaveAudio", audio=["22", 0], filename_prefix="sound"),
        "22": node("EmptyAudio", duration=1),
    }


def saved_as_video() -> Graph:
    saved = {"filename_prefix": "film", "format": "mp4", "codec": "h264"}
    frames = {"20": node("CreateVideo", images=["8", 0], fps=8)}
    graph = {**requests.sdxl_turbo(), **frames, "21": node("SaveVideo", video=["20", 0], **saved)}
    del graph["9"]
    return graph


def two_inputs() -> Graph:
    """Two input images by name, each saved under a prefix of its own."""
    graph = {}
    for name in ("first", "second"):
        graph[name] = node("LoadImage", image=f"{name}.png")
        graph[f"{name} saved"] = node("SaveImage", images=[name, 0], filename_prefix=name)
    return graph


def picture(colour: str) -> str:
    content = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(content, format="PNG")
    return base64.b64encode(content.getvalue()).decode()


def missing_model() -> Graph:
    graph = requests.sdxl_turbo()
    graph["4"]["inputs"]["ckpt_name"] = "not-there.safetensors"
    return graph


RED, BLUE = picture("red"), picture("blue")
UNUSED = [{"name": "test.png", "image": f"data:image/png;base64,{RED}"}]
#: Each request, and the names of the images that its caller gets.
EXAMPLES: dict[str, tuple[dict[str, Any], list[str]]] = {
    # Its two save nodes are alike: ComfyUI runs one of them, and names the one file twice.
    "the input test": (
        {"images": UNUSED, "workflow": requests.flux_twice_saved()},
        ["ComfyUI_00001_.png"],
    ),
    "flux checkpoint": ({"workflow": requests.flux_checkpoint()}, ["ComfyUI_00001_.png"]),
    "flux dev": ({"workflow": requests.flux_parts("flux1-dev.safetensors")}, ["ComfyUI_00001_.png"]),
    "flux schnell": ({"workflow": requests.flux_parts("flux1-schnell.safetensors")}, ["ComfyUI_00001_.png"]),
    "sd3": ({"workflow": requests.sd3()}, ["sd3_00001_.png"]),
    "sdxl turbo": ({"workflow": requests.sdxl_turbo()}, ["rome_00001_.png"]),
    "webp": ({"workflow": requests.webp_of_an_extension()}, ["filename_prefix_00001_.webp"]),
}
OTHERS: dict[str, dict[str, Any]] = {
    "video": {"workflow": with_video()},
    "saved as video": {"workflow": saved_as_video()},
    "two inputs": {
        "workflow": two_inputs(),
        "images": [
            {"name": "first.png", "image": RED},
            {"name": "second.png", "image": f"data:image/png;base64,{BLUE}"},
        ],
    },
    "damaged input": {"workflow": two_inputs(), "images": [{"name": "first.png", "image": "aGVsbG8="}]},
    "missing model": {"workflow": missing_model(), "comfy_org_api_key": KEY},
    "no graph": {"workflow": {}},
    "key": {"workflow": requests.sdxl_turbo(), "comfy_org_api_key": KEY},
    "health": {"type": "health"},
}


@dataclass(kw_only=True)
class Asked:
    """What one worker answered, and what it left."""

    answers: dict[str, Any] = field(default_factory=dict)
    workspace: Path
    prompts: list[str] = field(default_factory=list)
    #: Everything that the worker wrote.
    log: str = ""


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    """All requests, sent to one worker."""
    root = tmp_path_factory.mktemp("peer")
    found = Asked(workspace=root / "volume")
    with running_comfyui(root / "comfyui") as server:
        requests.put_models(root / "comfyui")
        environment = {
            "WORKSPACE_PATH": str(found.workspace),
            "SCRATCH_PATH": str(root / "scratch"),
            "COMFYUI_URL": server.url,
            "ALLOW_CPU": "true",
            "DISK_MIN_FREE_BYTES": "0",
            "MIN_FREE_MEMORY_BYTES": "0",
            "WARM_TRAINER": "false",
            "COMFY_ORG_API_KEY": ENDPOINT_KEY,
            "NETWORK_VOLUME_DEBUG": "true",
        }
        wrong = found.workspace / "checkpoints/mine.safetensors"
        wrong.parent.mkdir(parents=True)
        wrong.write_bytes(bytes(2048))
        asyncio.run(_ask(found, environment, root / "logs"))
        found.log = "".join(path.read_text() for path in (root / "logs").iterdir())
        found.prompts = [
            body for method, path, body in server.requests if (method, path) == ("POST", "/prompt")
        ]
        yield found


async def _ask(found: Asked, environment: dict[str, str], logs: Path) -> None:
    config = EndpointConfig(command=[sys.executable, str(WORKER)], environment=environment, log_folder=logs)
    inputs = {**{name: example for name, (example, _) in EXAMPLES.items()}, **OTHERS}
    async with LocalEndpoint(config) as endpoint, Caller(endpoint.url) as caller:
        for name, job_input in inputs.items():
            _, found.answers[name] = await caller.call("POST", "/runsync", {"input": job_input})


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_request_is_answered_as_its_callers_read_it(asked: Asked, name: str) -> None:
    answer = asked.answers[name]

    assert answer["status"] == "COMPLETED", answer
    images = answer["output"]["images"]
    assert [set(image) for image in images] == [{"filename", "type", "data"}] * len(images)
    assert [image["filename"] for image in images] == EXAMPLES[name][1]
    for image in images:
        assert image["type"] == "base64"
        Image.open(io.BytesIO(base64.b64decode(image["data"]))).verify()
    assert set(answer["output"]) - {"warnings"} == {"images"}


def test_videos_and_sound_come_beside_the_images(asked: Asked) -> None:
    output = asked.answers["video"]["output"]

    assert [image["filename"] for image in output["images"]] == ["rome_00001_.png"]
    assert [Path(video["filename"]).suffix for video in output["videos"]] == [".mp4"]
    assert [Path(other["filename"]).suffix for other in output["other"]] == [".flac"]
    assert "errors" not in output


def test_a_saved_video_stays_among_the_images_and_is_a_video_too(asked: Asked) -> None:
    output = asked.answers["saved as video"]["output"]

    assert [Path(file["filename"]).suffix for file in output["images"]] == [".mp4"]
    assert output["videos"] == output["images"]
    assert "status" not in output


def test_input_images_are_found_by_their_names(asked: Asked) -> None:
    images = asked.answers["two inputs"]["output"]["images"]

    colours = {
        image["filename"]: Image.open(io.BytesIO(base64.b64decode(image["data"]))).getpixel((0, 0))
        for image in images
    }
    assert colours == {"first_00001_.png": (255, 0, 0), "second_00001_.png": (0, 0, 255)}


def test_an_input_image_that_is_none_is_named(asked: Asked) -> None:
    answer = asked.answers["damaged input"]

    assert answer["status"] == "FAILED"
    assert "first.png" in answer["error"]


def test_a_failure_is_an_error_with_its_reason(asked: Asked) -> None:
    answer = asked.answers["missing model"]

    assert answer["status"] == "FAILED"
    assert "not-there.safetensors" in str(answer["error"])
    assert asked.answers["no graph"]["status"] == "FAILED"


def test_each_prompt_has_the_key_of_its_job_else_of_the_endpoint(asked: Asked) -> None:
    keys = [json.loads(prompt)["extra_data"]["api_key_comfy_org"] for prompt in asked.prompts]

    assert keys.count(KEY) == 2
    assert keys.count(ENDPOINT_KEY) == len(keys) - 2


@pytest.mark.parametrize("key", [KEY, ENDPOINT_KEY])
def test_no_key_is_answered_logged_or_kept(asked: Asked, key: str) -> None:
    assert asked.answers["key"]["status"] == "COMPLETED"
    assert key not in str(asked.answers)
    assert key not in asked.log
    files = [path for path in asked.workspace.rglob("*") if path.is_file()]
    assert [path for path in files if key.encode() in path.read_bytes()] == []


def test_a_volume_that_is_laid_wrongly_is_named(asked: Asked) -> None:
    (volume,) = [check for check in asked.answers["health"]["output"]["checks"] if check["name"] == "volume"]

    assert volume["ok"] is False
    assert "`models/checkpoints/`" in volume["detail"]
    assert "models are laid wrongly" in asked.log
