"""What image-to-video callers see, through the real worker loop; ComfyUI is a stand-in."""

from __future__ import annotations

import base64
import io
import sys
from pathlib import Path

import pytest
from PIL import Image
from tests.integration.endpoint_caller import Caller
from tests.servers.comfyui import running_comfyui

from lorapod.endpoint import EndpointConfig, LocalEndpoint

WORKER = Path(__file__).parents[2] / "Backend/rp_handler.py"
KEY = "comfy-org-key-that-must-not-leak"

pytestmark = pytest.mark.acceptance


async def test_a_caller_of_an_image_to_video_worker_gets_its_video(tmp_path: Path) -> None:
    content = io.BytesIO()
    Image.new("RGB", (120, 80), "orange").save(content, format="JPEG")
    job_input = {
        "prompt": "The fox runs",
        "image": base64.b64encode(content.getvalue()).decode(),
        "width": 64,
        "height": 64,
        "length": 17,
        "comfyui_workflow_name": "video_wan2_2_14B_i2v",
        "comfy_org_api_key": KEY,
    }
    with running_comfyui(tmp_path / "comfyui") as server:
        environment = {
            "WORKSPACE_PATH": str(tmp_path / "volume"),
            "SCRATCH_PATH": str(tmp_path / "scratch"),
            "COMFYUI_URL": server.url,
            "ALLOW_CPU": "true",
            "DISK_MIN_FREE_BYTES": "0",
            "MIN_FREE_MEMORY_BYTES": "0",
            "WARM_TRAINER": "false",
        }
        config = EndpointConfig(command=[sys.executable, str(WORKER)], environment=environment)
        async with LocalEndpoint(config) as endpoint, Caller(endpoint.url) as caller:
            _, answer = await caller.call("POST", "/runsync", {"input": job_input})
            _, refused = await caller.call("POST", "/runsync", {"input": {**job_input, "image": "aGVsbG8="}})

    assert answer["status"] == "COMPLETED", answer
    output = answer["output"]["output"]
    assert output["images"] == []
    assert [video["type"] for video in output["videos"]] == ["base64"]
    assert base64.b64decode(output["videos"][0]["data"])
    assert refused["status"] == "FAILED"
    assert "image" in str(refused["error"])
    assert KEY not in str((answer, refused))
    files = [path for path in (tmp_path / "volume").rglob("*") if path.is_file()]
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []
