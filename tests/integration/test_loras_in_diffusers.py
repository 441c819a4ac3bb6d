"""What the LoRA tools make, loaded by diffusers into tiny models of random weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.tiny_loras import lora_tensors, put_lora

from lorapod.lora_tools.job import LoraToolJob
from lorapod.lora_tools.names import KeyFormat
from lorapod.lora_tools.order import ConvertOrder, LoraToolOrder, MergeOrder, MergeSource, ResizeOrder

pytestmark = [
    pytest.mark.torch,
    # Two LoRAs at once are what is wanted here.
    pytest.mark.filterwarnings("ignore:Already found a `peft_config`:UserWarning"),
]

_ENDS = {
    "sd1": ("to_q", "to_k", "to_out.0", "ff.net.2", "conv1"),
    "flux": ("to_q", "to_k", "to_v", "ff.net.2", "to_add_out"),
}


@dataclass(frozen=True, kw_only=True)
class Model:
    """A pipeline, and what its model answers with given LoRAs."""

    pipeline: Any
    modules: dict[str, tuple[int, ...]]
    run: Callable[[], Any]

    def answer(self, *loras: tuple[Path, float]) -> Any:
        for number, (path, _) in enumerate(loras):
            self.pipeline.load_lora_weights(
                str(path.parent), weight_name=path.name, adapter_name=f"lora{number}"
            )
        if loras:
            names = [f"lora{number}" for number in range(len(loras))]
            self.pipeline.set_adapters(names, [weight for _, weight in loras])
        answer = self.run()
        self.pipeline.unload_lora_weights()
        return answer


def _modules(prefix: str, model: Any, ends: Sequence[str]) -> dict[str, tuple[int, ...]]:
    return {
        f"{prefix}.{name}": tuple(module.weight.shape)
        for name, module in model.named_modules()
        if name.endswith(tuple(ends))
    }


def _sd1() -> Model:
    import torch
    from diffusers import StableDiffusionPipeline, UNet2DConditionModel

    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=24,
        attention_head_dim=2,
        norm_num_groups=4,
    )
    parts = ("vae", "text_encoder", "tokenizer", "scheduler", "safety_checker", "feature_extractor")
    pipeline = StableDiffusionPipeline(unet=unet, requires_safety_checker=False, **dict.fromkeys(parts))
    latent, words = torch.randn(1, 4, 8, 8), torch.randn(1, 4, 24)

    def run() -> Any:
        with torch.inference_mode():
            return unet(latent, 10, words).sample

    return Model(pipeline=pipeline, modules=_modules("unet", unet, _ENDS["sd1"]), run=run)


def _flux() -> Model:
    import torch
    from diffusers import FluxPipeline, FluxTransformer2DModel

    torch.manual_seed(0)
    model = FluxTransformer2DModel(
        in_channels=4,
        num_layers=2,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=24,
        pooled_projection_dim=24,
        axes_dims_rope=(4, 6, 6),
    )
    empty = dict.fromkeys(("scheduler", "vae", "text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2"))
    pipeline = FluxPipeline(transformer=model, **empty)
    latent, words, pooled = torch.randn(1, 4, 4), torch.randn(1, 3, 24), torch.randn(1, 24)

    def run() -> Any:
        with torch.inference_mode():
            return model(
                hidden_states=latent,
                encoder_hidden_states=words,
                pooled_projections=pooled,
                timestep=torch.tensor([0.5]),
                img_ids=torch.zeros(4, 3),
                txt_ids=torch.zeros(3, 3),
            ).sample

    modules = _modules("transformer", model, _ENDS["flux"])
    return Model(
        pipeline=pipeline,
        # diffusers splits the matrices of a single block only if they have FLUX.1's own widths.
        modules={name: size for name, size in modules.items() if ".single_" not in name},
        run=run,
    )


@pytest.fixture(scope="module", params=[_sd1, _flux], ids=["sd1", "flux"])
def model(request: pytest.FixtureRequest) -> Model:
    made: Model = request.param()
    return made


def _made(order: LoraToolOrder, folder: Path) -> Path:
    from lorapod.lora_tools.child.work import run

    kind = {MergeOrder: "merge", ResizeOrder: "resize", ConvertOrder: "convert"}[type(order)]
    target = folder / f"{order.name}.safetensors"
    run(
        LoraToolJob(
            kind=kind,
            order=asdict(order),
            sources=[folder / source.path for source in order.sources],
            target=target,
            answer=folder / "answer.json",
        )
    )
    return target


def _near(found: Any, expected: Any) -> bool:
    return bool((found - expected).abs().max() < 1e-3 * expected.abs().max())


def test_a_merge_draws_what_both_draw(model: Model, tmp_path: Path) -> None:
    a = put_lora(tmp_path / "a.safetensors", lora_tensors(model.modules, rank=2, seed=1))
    b = put_lora(tmp_path / "b.safetensors", lora_tensors(model.modules, rank=3, seed=2))
    sources = [MergeSource(path=a.name, weight=0.8), MergeSource(path=b.name, weight=-0.5)]

    merged = _made(MergeOrder(name="merged", loras=sources), tmp_path)

    expected = model.answer((a, 0.8), (b, -0.5))
    assert not _near(model.answer(), expected)
    assert _near(model.answer((merged, 1.0)), expected)


def test_modules_of_different_ranks_are_loaded(model: Model, tmp_path: Path) -> None:
    """A resize by energy gives each module a rank of its own; the last ones of these were empty."""
    tensors = lora_tensors(model.modules, rank=4)
    for number, name in enumerate(tensors):
        if "lora_A" in name:
            tensors[name][1 + number % 3 :] = 0
    a = put_lora(tmp_path / "a.safetensors", tensors)

    small = _made(ResizeOrder(name="small", path=a.name, energy=0.999999), tmp_path)

    expected = model.answer((a, 1.0))
    assert not _near(model.answer(), expected)
    assert _near(model.answer((small, 1.0)), expected)


def test_kohya_s_form_is_loaded_and_comes_back(model: Model, tmp_path: Path) -> None:
    a = put_lora(tmp_path / "a.safetensors", lora_tensors(model.modules, rank=2))

    kohya = _made(ConvertOrder(name="kohya", path=a.name, format=KeyFormat.KOHYA), tmp_path)
    back = _made(ConvertOrder(name="back", path=kohya.name, format=KeyFormat.DIFFUSERS), tmp_path)

    expected = model.answer((a, 1.0))
    assert not _near(model.answer(), expected)
    assert _near(model.answer((kohya, 1.0)), expected)
    assert _near(model.answer((back, 1.0)), expected)
