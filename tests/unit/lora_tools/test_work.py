"""What the child makes of LoRAs, run in this process."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from tests.tiny_loras import (
    FLUX_MODULES,
    SD_MODULES,
    WAN_MODULES,
    changes_of,
    kohya_name,
    lora_tensors,
    put_lora,
)

from lorapod import weights
from lorapod.errors import InvalidInput, Unsupported
from lorapod.lora_tools.job import LoraToolAnswer, LoraToolJob
from lorapod.lora_tools.names import KeyFormat
from lorapod.lora_tools.order import ConvertOrder, MergeMethod, MergeOrder, MergeSource, ResizeOrder

pytestmark = pytest.mark.torch

Make = Callable[..., LoraToolAnswer]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Run a tool on files of `tmp_path`; the result is `new.safetensors`."""

    def run(order: MergeOrder | ResizeOrder | ConvertOrder) -> LoraToolAnswer:
        from lorapod.lora_tools.child.work import run as run_job

        kind = {MergeOrder: "merge", ResizeOrder: "resize", ConvertOrder: "convert"}[type(order)]
        target = tmp_path / "new.safetensors"
        target.unlink(missing_ok=True)
        return run_job(
            LoraToolJob(
                kind=kind,
                order=asdict(order),
                sources=[tmp_path / source.path for source in order.sources],
                target=target,
                answer=tmp_path / "answer.json",
            )
        )

    return run


def _merge(*loras: tuple[str, float], **fields: Any) -> MergeOrder:
    sources = [MergeSource(path=path, weight=weight) for path, weight in loras]
    return MergeOrder(name="new", loras=sources, **fields)


def _near(found: Any, expected: Any, tolerance: float = 1e-4) -> bool:
    return bool((found - expected).abs().max() <= tolerance * expected.abs().max().clamp(min=1e-9))


@pytest.mark.parametrize("method", [MergeMethod.CAT, MergeMethod.SVD], ids=str)
def test_a_merge_has_the_effect_of_both(make: Make, tmp_path: Path, method: MergeMethod) -> None:
    """Of different ranks and alphas, one with a negative weight, in modules that only one of them has too."""
    import torch

    more = {**SD_MODULES, "unet.mid_block.attentions.0.proj_out": (8, 8)}
    put_lora(tmp_path / "a.safetensors", lora_tensors(rank=3, alpha=1.5, kohya=True, seed=1))
    put_lora(tmp_path / "b.safetensors", lora_tensors(more, rank=5, kohya=True, seed=2))

    answer = make(_merge(("a.safetensors", 0.8), ("b.safetensors", -0.5), method=method, rank=8))

    a, b = changes_of(tmp_path / "a.safetensors"), changes_of(tmp_path / "b.safetensors")
    new = changes_of(tmp_path / "new.safetensors")
    assert set(new) == set(b)
    for module, change in new.items():
        zero = torch.zeros_like(change)
        assert _near(change, 0.8 * a.get(module, zero) - 0.5 * b[module]), module
    assert answer.rank == 8
    assert answer.kept_energy == (None if method is MergeMethod.CAT else pytest.approx(1.0, abs=1e-5))


def test_a_merge_by_svd_says_how_much_is_left(make: Make, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 2)):
        put_lora(tmp_path / f"{name}.safetensors", lora_tensors(rank=4, seed=seed))

    answer = make(_merge(("a.safetensors", 1), ("b.safetensors", 1), method=MergeMethod.SVD))

    a, b = changes_of(tmp_path / "a.safetensors"), changes_of(tmp_path / "b.safetensors")
    new = changes_of(tmp_path / "new.safetensors")
    lost = sum(float((new[name] - a[name] - b[name]).square().sum()) for name in new)
    whole = sum(float((a[name] + b[name]).square().sum()) for name in new)
    assert answer.rank == 4
    assert answer.kept_energy == pytest.approx(1 - lost / whole, abs=1e-4)
    assert 0.5 < (answer.kept_energy or 0) < 0.99


def test_linear_adds_up_matrices_of_one_rank(make: Make, tmp_path: Path) -> None:
    put_lora(tmp_path / "a.safetensors", lora_tensors(rank=4, seed=1))
    put_lora(tmp_path / "b.safetensors", lora_tensors(rank=4, seed=1))
    put_lora(tmp_path / "c.safetensors", lora_tensors(rank=2, seed=1))

    answer = make(_merge(("a.safetensors", 0.25), ("b.safetensors", 0.25), method=MergeMethod.LINEAR))

    new = changes_of(tmp_path / "new.safetensors")
    for module, change in changes_of(tmp_path / "a.safetensors").items():
        assert _near(new[module], change)
    assert answer.rank == 4
    with pytest.raises(InvalidInput, match=r"one rank.* 2 and 4"):
        make(_merge(("a.safetensors", 1), ("c.safetensors", 1), method=MergeMethod.LINEAR))


@pytest.mark.parametrize("method", [MergeMethod.TIES, MergeMethod.DARE], ids=str)
def test_ties_and_dare_are_peft_s_on_the_whole_change(
    make: Make, tmp_path: Path, method: MergeMethod
) -> None:
    import torch
    from peft.utils.merge_utils import dare_linear, ties

    wide = {"unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k": (288, 264)}
    for name, seed in (("a", 1), ("b", 2)):
        put_lora(tmp_path / f"{name}.safetensors", lora_tensors(wide, rank=4, alpha=2, seed=seed))

    order = _merge(("a.safetensors", 1), ("b.safetensors", 0.5), method=method, density=0.3, rank=6, seed=7)
    answer = make(order)
    first = (tmp_path / "new.safetensors").read_bytes()
    make(order)

    a, b = changes_of(tmp_path / "a.safetensors"), changes_of(tmp_path / "b.safetensors")
    torch.manual_seed(7)
    merge = ties if method is MergeMethod.TIES else dare_linear
    (expected,) = (merge([a[name], b[name]], torch.tensor([1.0, 0.5]), 0.3) for name in a)
    left, values, right = torch.linalg.svd(expected, full_matrices=False)
    (new,) = changes_of(tmp_path / "new.safetensors").values()
    best = left[:, :6] * values[:6] @ right[:6]
    assert float((new - best).norm() / best.norm()) < 0.05
    assert answer.rank == 6
    assert answer.kept_energy == pytest.approx(
        float(values[:6].square().sum() / values.square().sum()), abs=1e-2
    )
    assert (tmp_path / "new.safetensors").read_bytes() == first


def test_loras_with_other_names_are_merged_under_those_of_the_first(make: Make, tmp_path: Path) -> None:
    put_lora(tmp_path / "kohya.safetensors", lora_tensors(rank=3, alpha=1.5, kohya=True, seed=1))
    put_lora(tmp_path / "peft.safetensors", lora_tensors(rank=2, seed=2))

    make(_merge(("kohya.safetensors", 1), ("peft.safetensors", 1)))

    a = changes_of(tmp_path / "kohya.safetensors")
    b = changes_of(tmp_path / "peft.safetensors")
    new = changes_of(tmp_path / "new.safetensors")
    assert set(new) == set(a)
    for module, change in b.items():
        name = kohya_name(module)
        assert _near(new[name], a[name] + change)


def test_a_smaller_rank_is_the_best_of_that_rank(make: Make, tmp_path: Path) -> None:
    import torch

    put_lora(tmp_path / "a.safetensors", lora_tensors(rank=8, alpha=4, kohya=True), trigger_word="ohwx")

    answer = make(ResizeOrder(name="new", path="a.safetensors", rank=3))

    before, after = changes_of(tmp_path / "a.safetensors"), changes_of(tmp_path / "new.safetensors")
    assert before.keys() == after.keys()
    for module, change in before.items():
        left, values, right = torch.linalg.svd(change, full_matrices=False)
        assert _near(after[module], left[:, :3] * values[:3] @ right[:3], 1e-3), module
    header = weights.read_header(tmp_path / "new.safetensors")
    assert (answer.rank, header.rank, header.trigger_word) == (3, 3, "ohwx")
    assert header.metadata["ss_network_alpha"] == "3.0"
    conv = header.shapes["lora_unet_down_blocks_0_resnets_0_conv1.lora_down.weight"]
    assert conv == (3, 8, 3, 3)


def test_energy_gives_each_module_its_own_rank(make: Make, tmp_path: Path) -> None:
    tensors = lora_tensors(rank=8)
    flat = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.lora_A.weight"
    tensors[flat][1:] *= 1e-4
    put_lora(tmp_path / "a.safetensors", tensors)

    answer = make(ResizeOrder(name="new", path="a.safetensors", energy=0.9))

    header = weights.read_header(tmp_path / "new.safetensors")
    assert header.shapes[flat][0] == 1
    ranks = {shape[0] for name, shape in header.shapes.items() if name.endswith("lora_A.weight")}
    assert len(ranks) > 2
    assert 0.9 <= (answer.kept_energy or 0) < 1
    before, after = changes_of(tmp_path / "a.safetensors"), changes_of(tmp_path / "new.safetensors")
    for module, change in before.items():
        assert float((after[module] - change).square().sum() / change.square().sum()) <= 0.1 + 1e-6


def test_an_untrained_module_keeps_a_rank_of_one(make: Make, tmp_path: Path) -> None:
    tensors = lora_tensors(rank=4)
    for name in tensors:
        if name.endswith("lora_B.weight"):
            tensors[name] *= 0
    put_lora(tmp_path / "a.safetensors", tensors)

    answer = make(ResizeOrder(name="new", path="a.safetensors", energy=0.9))

    assert (answer.rank, answer.kept_energy) == (1, 1.0)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_the_number_format_stays(make: Make, tmp_path: Path, dtype: str) -> None:
    put_lora(tmp_path / "a.safetensors", lora_tensors(rank=4, dtype=dtype))

    answer = make(ResizeOrder(name="new", path="a.safetensors", rank=2))

    expected = {"float16": "F16", "bfloat16": "BF16", "float32": "F32"}[dtype]
    assert answer.dtypes == [expected]
    assert set(weights.read_header(tmp_path / "new.safetensors").dtypes) == {expected}


def test_what_does_not_fit_into_16_bit_is_refused(make: Make, tmp_path: Path) -> None:
    tensors = {name: tensor * 1e4 for name, tensor in lora_tensors(dtype="float16").items()}
    put_lora(tmp_path / "a.safetensors", tensors)

    with pytest.raises(InvalidInput, match="too large for float16"):
        make(_merge(("a.safetensors", 10_000)))


def test_nan_is_refused_with_its_module(make: Make, tmp_path: Path) -> None:
    tensors = lora_tensors()
    tensors["unet.down_blocks.0.resnets.0.conv1.lora_B.weight"][0, 0] = float("nan")
    put_lora(tmp_path / "a.safetensors", tensors)

    for order in (
        _merge(("a.safetensors", 1)),
        ResizeOrder(name="new", path="a.safetensors", rank=1),
        ConvertOrder(name="new", path="a.safetensors", format=KeyFormat.KOHYA),
    ):
        with pytest.raises(InvalidInput, match=r"a\.safetensors holds NaN.*resnets\.0\.conv1"):
            make(order)


def test_stable_diffusion_goes_to_kohya_and_back_bit_by_bit(make: Make, tmp_path: Path) -> None:
    tensors = lora_tensors(dtype="bfloat16")
    put_lora(tmp_path / "a.safetensors", tensors)

    answer = make(ConvertOrder(name="new", path="a.safetensors", format=KeyFormat.KOHYA))
    shapes = weights.read_header(tmp_path / "new.safetensors").shapes
    (tmp_path / "new.safetensors").rename(tmp_path / "kohya.safetensors")
    make(ConvertOrder(name="new", path="kohya.safetensors", format=KeyFormat.DIFFUSERS))

    assert answer.key_format == "kohya"
    assert set(shapes) == {
        *lora_tensors(kohya=True),
        *(
            name.replace("lora_down.weight", "alpha")
            for name in lora_tensors(kohya=True)
            if "down.weight" in name
        ),
    }
    _same_tensors(tmp_path / "new.safetensors", tensors)


def test_alphas_become_part_of_the_matrices_for_diffusers(make: Make, tmp_path: Path) -> None:
    put_lora(tmp_path / "a.safetensors", lora_tensors(rank=4, alpha=1, kohya=True))

    make(ConvertOrder(name="new", path="a.safetensors", format=KeyFormat.DIFFUSERS))

    assert not any("alpha" in name for name in weights.read_header(tmp_path / "new.safetensors").shapes)
    before, after = changes_of(tmp_path / "a.safetensors"), changes_of(tmp_path / "new.safetensors")
    assert set(after) == set(SD_MODULES)
    for module, change in after.items():
        assert _near(change, before[kohya_name(module)])


def test_flux_goes_to_kohya_and_back(make: Make, tmp_path: Path) -> None:
    """Its matrices are put together, one that the LoRA lacks included, and diffusers takes them apart again."""
    tensors = lora_tensors(FLUX_MODULES, rank=2, dtype="bfloat16")
    put_lora(tmp_path / "a.safetensors", tensors)

    make(ConvertOrder(name="new", path="a.safetensors", format=KeyFormat.KOHYA))
    shapes = weights.read_header(tmp_path / "new.safetensors").shapes
    (tmp_path / "new.safetensors").rename(tmp_path / "kohya.safetensors")
    make(ConvertOrder(name="new", path="kohya.safetensors", format=KeyFormat.DIFFUSERS))

    assert shapes["lora_unet_double_blocks_3_img_attn_qkv.lora_up.weight"] == (9216, 6)
    assert shapes["lora_unet_single_blocks_5_linear1.lora_up.weight"] == (21504, 8)
    # Parts of the matrix that had one part of three: they change nothing.
    empty = {
        f"transformer.transformer_blocks.3.attn.add_{name}_proj.lora_{part}.weight"
        for name in "qv"
        for part in "AB"
    }
    _same_tensors(tmp_path / "new.safetensors", tensors, besides=empty)
    changes = changes_of(tmp_path / "new.safetensors", only="add_")
    assert [bool(change.any()) for _, change in sorted(changes.items())] == [True, False, False]


def test_comfyui_reads_flux_by_diffusers_names(make: Make, tmp_path: Path) -> None:
    tensors = lora_tensors({"transformer.transformer_blocks.0.attn.to_q": (64, 64)}, rank=2)
    tensors["transformer.transformer_blocks.0.attn.to_q.lora_magnitude_vector"] = tensors[
        "transformer.transformer_blocks.0.attn.to_q.lora_B.weight"
    ][:, 0].abs()
    put_lora(tmp_path / "a.safetensors", tensors)

    make(ConvertOrder(name="new", path="a.safetensors", format=KeyFormat.COMFYUI))

    shapes = weights.read_header(tmp_path / "new.safetensors").shapes
    assert shapes["transformer.transformer_blocks.0.attn.to_q.dora_scale"] == (64, 1)


def test_a_dora_keeps_its_magnitudes_in_both_forms(make: Make, tmp_path: Path) -> None:
    import torch

    tensors = lora_tensors({"unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q": (8, 8)})
    magnitude = torch.rand(8)
    tensors["unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q.lora_magnitude_vector"] = magnitude
    put_lora(tmp_path / "a.safetensors", tensors)

    make(ConvertOrder(name="new", path="a.safetensors", format=KeyFormat.KOHYA))
    kohya = weights.read_header(tmp_path / "new.safetensors").shapes
    (tmp_path / "new.safetensors").rename(tmp_path / "kohya.safetensors")
    make(ConvertOrder(name="new", path="kohya.safetensors", format=KeyFormat.DIFFUSERS))

    assert kohya["lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q.dora_scale"] == (8, 1)
    _same_tensors(tmp_path / "new.safetensors", tensors)
    make(ResizeOrder(name="new", path="a.safetensors", rank=2))
    assert any("magnitude" in name for name in weights.read_header(tmp_path / "new.safetensors").shapes)


def test_wan_is_converted_by_diffusers_and_only_in_one_direction(make: Make, tmp_path: Path) -> None:
    put_lora(tmp_path / "a.safetensors", lora_tensors(WAN_MODULES))

    make(ConvertOrder(name="new", path="a.safetensors", format=KeyFormat.DIFFUSERS))

    shapes = weights.read_header(tmp_path / "new.safetensors").shapes
    assert shapes["transformer.blocks.1.attn1.to_q.lora_A.weight"] == (4, 16)
    (tmp_path / "new.safetensors").rename(tmp_path / "diffusers.safetensors")
    with pytest.raises(Unsupported, match="wan"):
        make(ConvertOrder(name="new", path="diffusers.safetensors", format=KeyFormat.COMFYUI))


def test_notes_of_diffusers_on_alpha_count(make: Make, tmp_path: Path) -> None:
    module = "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
    plain = lora_tensors({module: (8, 8)}, rank=4)
    put_lora(tmp_path / "plain.safetensors", plain)
    noted = '{"unet.r": 4, "unet.lora_alpha": 2}'
    put_lora(tmp_path / "a.safetensors", plain, lora_adapter_metadata=noted)

    make(ConvertOrder(name="new", path="a.safetensors", format=KeyFormat.KOHYA))

    (plain_change,) = changes_of(tmp_path / "plain.safetensors").values()
    (change,) = changes_of(tmp_path / "new.safetensors").values()
    assert _near(change, plain_change / 2)
    assert "lora_adapter_metadata" not in weights.read_header(tmp_path / "new.safetensors").metadata


def _same_tensors(path: Path, expected: dict[str, Any], besides: AbstractSet[str] = frozenset()) -> None:
    from safetensors.torch import load_file

    found = load_file(path)
    names = {name.removesuffix(".weight") for name in expected}
    assert {name.removesuffix(".weight") for name in found if name not in besides} == names
    for name, tensor in expected.items():
        other = found.get(name, found.get(f"{name}.weight"))
        assert other is not None
        assert other.dtype == tensor.dtype
        assert bool((other == tensor).all()), name
