"""How long the LoRA tools take for a LoRA of FLUX.1, and how much RAM: against a bare loop in the same run."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.benchmarks.report import Report

pytestmark = [pytest.mark.benchmark, pytest.mark.torch, pytest.mark.timeout(900)]

#: Whole run of the child, its imports included.
BOUND_S = 10.0
#: The same for a merge that computes every value of every matrix of SDXL.
WHOLE_BOUND_S = 600.0
#: Of the sources' bytes, the most that the child may hold in RAM of its own beside its libraries.
RAM_SHARE = 1.5

#: Writes a LoRA of random weights for every matrix of FLUX.1's blocks; prints its bytes.
_MAKE = """
import sys, torch
from safetensors.torch import save_file
path, rank = sys.argv[1], int(sys.argv[2])
double = {"attn.to_q": (3072, 3072), "attn.to_k": (3072, 3072), "attn.to_v": (3072, 3072), "attn.to_out.0": (3072, 3072),
    "attn.add_q_proj": (3072, 3072), "attn.add_k_proj": (3072, 3072), "attn.add_v_proj": (3072, 3072),
    "attn.to_add_out": (3072, 3072), "ff.net.0.proj": (12288, 3072), "ff.net.2": (3072, 12288),
    "ff_context.net.0.proj": (12288, 3072), "ff_context.net.2": (3072, 12288), "norm1.linear": (18432, 3072),
    "norm1_context.linear": (18432, 3072)}
single = {"attn.to_q": (3072, 3072), "attn.to_k": (3072, 3072), "attn.to_v": (3072, 3072), "proj_mlp": (12288, 3072),
    "proj_out": (3072, 15360), "norm.linear": (9216, 3072)}
blocks = [(f"transformer_blocks.{n}", double) for n in range(19)]
blocks += [(f"single_transformer_blocks.{n}", single) for n in range(38)]
tensors = {}
for block, modules in blocks:
    for name, (outputs, inputs) in modules.items():
        tensors[f"transformer.{block}.{name}.lora_A.weight"] = torch.randn(rank, inputs).mul_(0.02).bfloat16()
        tensors[f"transformer.{block}.{name}.lora_B.weight"] = torch.randn(outputs, rank).mul_(0.02).bfloat16()
save_file(tensors, path)
"""
#: Writes a LoRA of random weights for every matrix of SDXL's transformer blocks.
_MAKE_SDXL = """
import sys, torch
from safetensors.torch import save_file
path, rank = sys.argv[1], int(sys.argv[2])
places = [("down_blocks.1", 640, 2, 2), ("down_blocks.2", 1280, 2, 10), ("up_blocks.0", 1280, 3, 10), ("up_blocks.1", 640, 3, 2)]
tensors = {}
def add(name, outputs, inputs):
    tensors[f"unet.{name}.lora_A.weight"] = torch.randn(rank, inputs).mul_(0.02).half()
    tensors[f"unet.{name}.lora_B.weight"] = torch.randn(outputs, rank).mul_(0.02).half()
for place, d, attentions, blocks in [*places, ("mid_block", 1280, 1, 10)]:
    for attention in range(attentions):
        at = f"{place}.attentions.{attention}"
        add(f"{at}.proj_in", d, d), add(f"{at}.proj_out", d, d)
        for block in range(blocks):
            one = f"{at}.transformer_blocks.{block}"
            for name in ("attn1.to_q", "attn1.to_k", "attn1.to_v", "attn1.to_out.0", "attn2.to_q", "attn2.to_out.0"):
                add(f"{one}.{name}", d, d)
            add(f"{one}.attn2.to_k", d, 2048), add(f"{one}.attn2.to_v", d, 2048)
            add(f"{one}.ff.net.0.proj", 8 * d, d), add(f"{one}.ff.net.2", d, 4 * d)
save_file(tensors, path)
"""
#: What a person would write for one LoRA: the same decompositions, all tensors in RAM.
_PLAIN = """
import sys, time
began = time.perf_counter()
import torch
from safetensors.torch import load_file, save_file
tensors = load_file(sys.argv[1])
rank = int(sys.argv[3])
for name in [name for name in tensors if name.endswith("lora_A.weight")]:
    other = name.replace("lora_A", "lora_B")
    left, left_rest = torch.linalg.qr(tensors[other].float())
    right, right_rest = torch.linalg.qr(tensors[name].float().T)
    inner, values, outer = torch.linalg.svd(left_rest @ right_rest.T, full_matrices=False)
    roots = values[:rank].sqrt()
    tensors[other] = (left @ inner[:, :rank] * roots).bfloat16()
    tensors[name] = (roots[:, None] * (outer[:rank] @ right.T)).bfloat16()
save_file(tensors, sys.argv[2])
print(time.perf_counter() - began)
"""
#: Runs the child's job, and prints its seconds and the RAM that was its own at the most.
_CHILD = """
import sys, threading, time
began = time.perf_counter()
from lorapod.lora_tools.child.__main__ import main
most = 0
def watch():
    global most
    while True:
        with open("/proc/self/status") as file:
            fields = dict(line.split(":", 1) for line in file)
        most = max(most, int(fields["RssAnon"].split()[0]) * 1024)
        time.sleep(0.02)
threading.Thread(target=watch, daemon=True).start()
code = main([sys.argv[1]])
print(time.perf_counter() - began, most)
sys.exit(code)
"""


def _make(path: Path, rank: int, script: str = _MAKE) -> Path:
    subprocess.run([sys.executable, "-c", script, str(path), str(rank)], check=True)
    return path


def _child(folder: Path, kind: str, order: dict[str, object], sources: list[Path]) -> tuple[float, int]:
    target = folder / "new.safetensors"
    target.unlink(missing_ok=True)
    job = {"kind": kind, "order": order, "sources": [str(path) for path in sources]}
    job |= {"target": str(target), "answer": str(folder / "answer.json"), "notes": {}}
    (folder / "job.json").write_text(json.dumps(job))
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, str(folder / "job.json")], check=True, capture_output=True, text=True
    )
    seconds, most_bytes = done.stdout.split()[-2:]
    return float(seconds), int(most_bytes)


def test_resizing_a_flux_lora_of_rank_32(tmp_path: Path, report: Report) -> None:
    source = _make(tmp_path / "a.safetensors", 32)
    plain, ours = [], []
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", _PLAIN, str(source), str(tmp_path / "plain.safetensors"), "16"],
            check=True,
            capture_output=True,
            text=True,
        )
        plain.append(float(done.stdout))
        order = {"name": "new", "path": source.name, "rank": 16}
        ours.append(_child(tmp_path, "resize", order, [source])[0])

    report(
        "Resizing a FLUX.1 LoRA from rank 32 to 16",
        min(ours),
        "s",
        against="a bare loop",
        reference=min(plain),
        at_most=max(BOUND_S, 1.5 * min(plain)),
    )


def test_merging_flux_loras_of_rank_128_in_little_ram(tmp_path: Path, report: Report) -> None:
    sources = [_make(tmp_path / f"{name}.safetensors", 128) for name in "ab"]
    one_bytes = sources[0].stat().st_size
    began = time.perf_counter()
    loras = [{"path": path.name, "weight": 0.5} for path in sources]
    seconds, most_bytes = _child(tmp_path, "merge", {"name": "new", "loras": loras}, sources)

    merge = f"Merging two FLUX.1 LoRAs of rank 128 ({one_bytes / 1e9:.2f} GB each)"
    report(merge, seconds, "s")
    report(f"{merge}, with the start of its child", time.perf_counter() - began, "s")
    report(
        f"{merge}, memory",
        most_bytes / 1e9,
        "GB",
        against="one of the LoRAs",
        reference=one_bytes / 1e9,
        ratio_at_most=RAM_SHARE,
    )


@pytest.mark.parametrize("method", ["ties", "dare"])
def test_merging_sdxl_loras_as_whole_matrices(tmp_path: Path, report: Report, method: str) -> None:
    sources = [_make(tmp_path / f"{name}.safetensors", 16, _MAKE_SDXL) for name in "ab"]
    loras = [{"path": path.name, "weight": 0.5} for path in sources]
    order = {"name": "new", "loras": loras, "method": method, "density": 0.5}
    seconds, most_bytes = _child(tmp_path, "merge", order, sources)

    merge = f"Merging two SDXL LoRAs of rank 16 by `{method}`"
    report(merge, seconds, "s", at_most=WHOLE_BOUND_S)
    report(f"{merge}, memory", most_bytes / 1e9, "GB")
