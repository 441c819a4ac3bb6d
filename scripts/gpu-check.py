"""Measure on a machine with CUDA what a processor cannot show, and write the rows of docs/benchmarks.md.

`.venv/bin/python scripts/gpu-check.py` needs a checkout with `make venv` and a GPU; it takes some minutes. `--model` and
`--arch` name a real base model in place of the demo's small one. Without a GPU, `--cpu` goes through the same measures with few
steps, to see that they work: its figures say nothing of a GPU, and are only printed unless `--results` names a file.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import torch

from benchmark_figures.machine import this_machine
from benchmark_figures.page import render
from benchmark_figures.results import DRY_RUN, GPU_PREFIX, RESULTS, Benchmark, Results
from gpu_check.measures import MEASURES
from gpu_check.workshop import NotMeasuredError, Workshop

PAGE = RESULTS.with_suffix(".md")


def measure(name: str, workshop: Workshop, command: str) -> Benchmark:
    """Run one measure; what goes wrong is a row of its own and ends no other."""
    began = time.monotonic()
    why = None
    figures = []
    try:
        figures = list(MEASURES[name](workshop))
    except NotMeasuredError as error:
        why = str(error)
    except Exception as error:  # noqa: BLE001 - the next measure may work
        why = f"{type(error).__name__}: {error}"
    return Benchmark(
        name=f"{GPU_PREFIX}::{name}",
        group="On a GPU",
        command=command,
        figures=figures,
        not_measured=why,
        measured_on=datetime.now(UTC).date(),
        machine=this_machine() + ("" if workshop.cuda else f", {DRY_RUN}"),
        took_s=round(time.monotonic() - began, 1),
    )


def show(benchmark: Benchmark) -> None:
    """Write the figures of one measure, or why there are none."""
    for figure in benchmark.figures:
        sys.stdout.write(f"  {figure.sentence()}\n")
    if benchmark.not_measured is not None:
        sys.stdout.write(f"  {benchmark.name}: not measured: {benchmark.not_measured}\n")
    sys.stdout.flush()


def main(argv: list[str]) -> int:
    """Measure; return 1 if a bound is broken or, on a GPU, a measure failed; 2 if there is no CUDA."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cpu", action="store_true", help="a dry run without a GPU")
    parser.add_argument("--only", choices=sorted(MEASURES), action="append", help="these measures alone")
    parser.add_argument(
        "--model", default="demo_base", help="a folder in diffusers' layout, or an id of the Hub"
    )
    parser.add_argument("--arch", default="sd1", help="the architecture of --model")
    parser.add_argument("--steps", type=int, default=None, help="steps of each training")
    parser.add_argument("--rounds", type=int, default=2, help="how often each is measured; the best counts")
    parser.add_argument("--resolution", type=int, default=64, help="edge of the images in pixels")
    parser.add_argument("--results", type=Path, default=None, help="where the figures are kept")
    chosen = parser.parse_args(argv)
    if not chosen.cpu and not torch.cuda.is_available():
        sys.stdout.write("This machine has no CUDA. `--cpu` goes through the measures without it.\n")
        return 2
    command = shlex.join(["scripts/gpu-check.py", *argv])
    results: Path | None = chosen.results or (None if chosen.cpu else RESULTS)
    failed = False
    with tempfile.TemporaryDirectory(prefix="lorapod-gpu-check-") as made:
        workshop = Workshop(
            root=Path(made),
            cuda=not chosen.cpu,
            steps=chosen.steps or (30 if chosen.cpu else 500),
            resolution=chosen.resolution,
            rounds=chosen.rounds,
            model=chosen.model,
            arch=chosen.arch,
        )
        workshop.prepare()
        for name in chosen.only or MEASURES:
            benchmark = measure(name, workshop, command)
            show(benchmark)
            missing = benchmark.not_measured is not None and not chosen.cpu
            failed |= missing or not all(each.holds for each in benchmark.figures)
            if results is not None:
                Results.load(results).with_run(benchmark).save(results)
    if results == RESULTS:
        PAGE.write_text(render(Results.load()), encoding="utf-8")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
