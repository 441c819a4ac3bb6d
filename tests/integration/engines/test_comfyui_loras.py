"""LoRAs that `convert_lora` has made, in a real ComfyUI: with them it draws another image than without."""

from __future__ import annotations

import io
import json
import shutil
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.integration.trainers import toolkit_loras
from tests.servers import comfyui_real
from tests.tiny_loras import lora_tensors, put_lora

from lorapod.lora_tools.job import LoraToolJob
from lorapod.lora_tools.names import KeyFormat

pytestmark = [pytest.mark.torch, pytest.mark.timeout(600)]

_NODES = Path(comfyui_real.__file__).with_name("comfyui_tiny_models.py")
_DRAWN_S = 120

_BLOCK = "transformer_blocks.0"
_SD1: Mapping[str, Sequence[int]] = {
    f"unet.down_blocks.0.attentions.0.{_BLOCK}.attn1.to_q": (32, 32),
    f"unet.down_blocks.1.attentions.1.{_BLOCK}.attn2.to_k": (64, 768),
    f"unet.up_blocks.1.attentions.0.{_BLOCK}.attn1.to_out.0": (128, 128),
}
_FLUX: Mapping[str, Sequence[int]] = {
    f"transformer.{_BLOCK}.attn.to_q": (64, 64),
    f"transformer.{_BLOCK}.attn.to_v": (64, 64),
    f"transformer.{_BLOCK}.ff.net.0.proj": (256, 64),
    "transformer.single_transformer_blocks.0.attn.to_k": (64, 64),
    "transformer.single_transformer_blocks.0.proj_mlp": (256, 64),
    "transformer.single_transformer_blocks.0.proj_out": (64, 320),
}


@dataclass(frozen=True, kw_only=True)
class Comfy:
    url: str
    loras: Path

    def draw(self, arch: str, lora: str | None = None) -> bytes:
        """The pixels of the image that ComfyUI draws; the file has the graph in it too."""
        graph: dict[str, Any] = {
            "1": {"class_type": "TinyModel", "inputs": {"arch": arch}},
            "3": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
            "4": {
                "class_type": "KSampler",
                "inputs": {
                    "model": ["1", 0],
                    "positive": ["1", 1],
                    "negative": ["1", 1],
                    "latent_image": ["3", 0],
                    "seed": 1,
                    "steps": 2,
                    "cfg": 1.0,
                    "denoise": 1.0,
                    "sampler_name": "euler",
                    "scheduler": "simple",
                },
            },
            "5": {"class_type": "TinyDecode", "inputs": {"samples": ["4", 0]}},
            "6": {
                "class_type": "SaveImage",
                "inputs": {"images": ["5", 0], "filename_prefix": uuid.uuid4().hex},
            },
        }
        if lora is not None:
            loading = {"model": ["1", 0], "lora_name": lora, "strength_model": 1.0}
            graph["2"] = {"class_type": "LoraLoaderModelOnly", "inputs": loading}
            graph["4"]["inputs"]["model"] = ["2", 0]
        answer = self._get("/prompt", {"prompt": graph, "prompt_id": str(uuid.uuid4())})
        until_s = time.monotonic() + _DRAWN_S
        while not (history := self._get(f"/history/{answer['prompt_id']}")):
            assert time.monotonic() < until_s, "ComfyUI draws nothing"
            time.sleep(0.1)
        (drawn,) = history.values()
        assert drawn["status"]["status_str"] == "success", drawn["status"]
        (image,) = drawn["outputs"]["6"]["images"]
        address = f"{self.url}/view?filename={image['filename']}&type=output"
        with urllib.request.urlopen(address) as found:  # noqa: S310
            return Image.open(io.BytesIO(found.read())).convert("RGB").tobytes()

    def _get(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310 - the test's own server
            self.url + path, data, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request) as answer:  # noqa: S310
            return json.loads(answer.read())


@pytest.fixture(scope="module")
def comfy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Comfy]:
    """A real ComfyUI with tiny models."""
    installation, missing = comfyui_real.real_installation()
    if installation is None:
        pytest.skip(missing)
    base = tmp_path_factory.mktemp("comfyui")
    nodes = base / "nodes"
    nodes.mkdir()
    shutil.copy(_NODES, nodes / "tiny_models.py")
    with comfyui_real.running_real(installation, base, custom_nodes=nodes) as url:
        yield Comfy(url=url, loras=base / "models" / "loras")


@pytest.fixture
def convert(comfy: Comfy) -> Callable[[str, KeyFormat], str]:
    """Convert one of ComfyUI's LoRAs; the name of the new one."""

    def run(source: str, wanted: KeyFormat) -> str:
        from lorapod.lora_tools.child.work import run as run_job

        target = comfy.loras / f"{wanted}-{source}"
        run_job(
            LoraToolJob(
                kind="convert",
                order={"name": "new", "path": source, "format": wanted.value},
                sources=[comfy.loras / source],
                target=target,
                answer=comfy.loras / "answer.json",
            )
        )
        return target.name

    return run


def test_stable_diffusion_in_diffusers_form_has_no_effect_until_it_is_converted(
    comfy: Comfy, convert: Callable[[str, KeyFormat], str]
) -> None:
    put_lora(comfy.loras / "sd.safetensors", lora_tensors(_SD1, rank=4))

    without = comfy.draw("sd1")
    as_trained = comfy.draw("sd1", "sd.safetensors")
    converted = comfy.draw("sd1", convert("sd.safetensors", KeyFormat.COMFYUI))
    kohya = comfy.draw("sd1", convert("sd.safetensors", KeyFormat.KOHYA))

    assert as_trained == without
    assert converted != without
    assert kohya == converted


def test_flux_has_the_same_effect_in_every_form(
    comfy: Comfy, convert: Callable[[str, KeyFormat], str]
) -> None:
    """Also with its matrices put together, as kohya's form has them."""
    put_lora(comfy.loras / "flux.safetensors", lora_tensors(_FLUX, rank=4))

    without = comfy.draw("flux")
    as_trained = comfy.draw("flux", "flux.safetensors")
    converted = comfy.draw("flux", convert("flux.safetensors", KeyFormat.COMFYUI))
    kohya = comfy.draw("flux", convert("flux.safetensors", KeyFormat.KOHYA))

    assert as_trained != without
    assert converted == as_trained
    assert kohya == converted


@pytest.mark.ai_toolkit
@pytest.mark.skipif(not toolkit_loras.is_installed(), reason=toolkit_loras.MISSING)
@pytest.mark.parametrize("arch", ["sd1", "flux"])
def test_what_ai_toolkit_has_saved_keeps_its_effect_in_every_form(
    comfy: Comfy, convert: Callable[[str, KeyFormat], str], arch: str
) -> None:
    toolkit_loras.save_loras(comfy.loras, [f"tiny_{arch}"])
    saved = f"tiny_{arch}.safetensors"

    without = comfy.draw(arch)
    as_saved = comfy.draw(arch, saved)
    kohya = comfy.draw(arch, convert(saved, KeyFormat.KOHYA))
    from_diffusers = convert(convert(saved, KeyFormat.DIFFUSERS), KeyFormat.COMFYUI)

    assert as_saved != without
    assert kohya == as_saved
    assert comfy.draw(arch, from_diffusers) == as_saved
