"""The page of benchmarks: a table a group, written from the kept results alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from benchmark_figures.figure import Figure, quantity
from benchmark_figures.figure import number as short
from benchmark_figures.results import DRY_RUN, GPU_PREFIX, Benchmark, Results

_INTRODUCTION = """\
<!-- Written by `make bench` from docs/benchmarks.json; edit the benchmarks, not this page. -->
# Benchmarks

What lorapod costs, measured. A reference is measured in the same run, in turns, on the same machine: another machine has other
figures, but the ratio should hold. A bound is what the benchmark demands; `make bench` fails if one is broken.

`make bench` measures all of them and writes this page; `make bench ARGS="-k worker"` measures some and leaves the other rows
as they are. Benchmarks are in `tests/benchmarks`.
"""

_GPU = """\
## On a GPU

`scripts/gpu-check.py` measures on any machine with CUDA what a processor cannot show: managed against bare training speed, the
first step cold and warm, the diffusers engine, the memory that is freed for a training, and how a training ends that does not
fit. It writes its rows to this page.
"""

_NO_GPU = """
**Not measured yet:** no machine with CUDA was at hand when this page was written. Run
`.venv/bin/python scripts/gpu-check.py` on one.
"""


def render(results: Results) -> str:
    """Return the page in Markdown."""
    machines = {each.machine: "" for each in sorted(results.benchmarks, key=lambda each: each.name)}
    letters = dict(zip(machines, _letters(), strict=False))
    ours = [each for each in results.benchmarks if not each.name.startswith(GPU_PREFIX)]
    gpu = [each for each in results.benchmarks if each.name.startswith(GPU_PREFIX)]
    parts = [_INTRODUCTION]
    parts += [_group(name, members, letters) for name, members in _grouped(ours)]
    parts.append(_GPU + ("" if any(_on_cuda(each) for each in gpu) else _NO_GPU))
    parts += [_table(gpu, letters)] if gpu else []
    if letters:
        parts.append(
            "## Machines\n\n" + "\n".join(f"- **{letter}**: {name}" for name, letter in letters.items())
        )
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def _on_cuda(benchmark: Benchmark) -> bool:
    return bool(benchmark.figures) and DRY_RUN not in benchmark.machine


def _letters() -> Iterator[str]:
    number = 0
    while True:
        yield chr(ord("A") + number % 26) * (1 + number // 26)
        number += 1


def _grouped(benchmarks: Sequence[Benchmark]) -> Iterator[tuple[str, Sequence[Benchmark]]]:
    for name, members in groupby(
        sorted(benchmarks, key=lambda each: (each.group, each.name)), lambda each: each.group
    ):
        yield name, list(members)


def _group(name: str, members: Sequence[Benchmark], letters: Mapping[str, str]) -> str:
    return f"## {name}\n\n{_table(members, letters)}"


def _table(members: Sequence[Benchmark], letters: Mapping[str, str]) -> str:
    lines = [
        "| what | measured | reference | ratio | bound | measured on |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for member in members:
        when = f"{member.measured_on.isoformat()}, {letters[member.machine]}"
        lines += [_row(figure, when) for figure in member.figures]
        if member.not_measured is not None:
            lines.append(f"| {_title(member)} | not measured: {_cell(member.not_measured)} | | | | {when} |")
    took_s = sum(member.took_s for member in members)
    commands = dict.fromkeys(member.command for member in members)
    lines += ["", f"{', '.join(f'`{command}`' for command in commands)} ({took_s:.0f} s)"]
    return "\n".join(lines) + "\n"


def _row(figure: Figure, when: str) -> str:
    reference = ""
    if figure.against is not None:
        told = f": {quantity(figure.reference, figure.unit)}" if figure.reference is not None else ""
        reference = f"{figure.against}{told}"
    ratio = short(figure.ratio) if figure.ratio is not None else ""
    bound = figure.bound if figure.holds else f"**broken:** {figure.bound}"
    cells = (figure.what, quantity(figure.value, figure.unit), reference, ratio, bound, when)
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _title(benchmark: Benchmark) -> str:
    """Return a benchmark's name as words: `test_ping_in_process[a]` becomes `ping in process (a)`."""
    name = benchmark.name.rpartition("::")[2].removeprefix("test_")
    return name.replace("_", " ").replace("[", " (").replace("]", ")")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
