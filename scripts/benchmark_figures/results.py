"""The kept results of all benchmarks: a run replaces its own and leaves the others as they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from benchmark_figures.figure import Figure

GPU_PREFIX = "gpu-check"
#: Part of the machine's name if the measures of a GPU were tried without one.
DRY_RUN = "dry run on the processor"
RESULTS = Path(__file__).parents[2] / "docs" / "benchmarks.json"


class Benchmark(BaseModel):
    """The last run of one benchmark."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: Unique; the page is sorted by it: `test_worker.py::test_ping`, or `gpu-check::steps`.
    name: str
    #: The heading that it appears under.
    group: str
    command: str
    figures: Sequence[Figure] = ()
    #: Why there are no figures, or fewer than there should be; None if all were measured.
    not_measured: str | None = None
    measured_on: date
    machine: str
    took_s: float


class Results(BaseModel):
    """Every benchmark's last run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    benchmarks: Sequence[Benchmark] = ()

    @classmethod
    def load(cls, path: Path = RESULTS) -> Results:
        """Return what is kept; nothing if no benchmark ran yet."""
        return cls.model_validate_json(path.read_bytes()) if path.exists() else cls()

    def save(self, path: Path = RESULTS) -> None:
        """Keep them; a reader sees the old results or these."""
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        new.write_text(self.model_dump_json(indent=1, exclude_defaults=True) + "\n", encoding="utf-8")
        new.replace(path)

    def with_run(self, run: Benchmark) -> Results:
        """Return these results, with those of a new run in place of the older one of the same name."""
        merged = {each.name: each for each in (*self.benchmarks, run)}
        return Results(benchmarks=[merged[name] for name in sorted(merged)])

    def only(self, names: Iterable[str]) -> Results:
        """Return the results of these benchmarks, and of those on a GPU, which are not among the tests."""
        present = set(names)
        return Results(
            benchmarks=[
                each for each in self.benchmarks if each.name in present or each.name.startswith(GPU_PREFIX)
            ]
        )

    def estimate(self, names: Sequence[str]) -> tuple[float, int]:
        """Return how many seconds these took the last time, and how many of them never ran."""
        took = {each.name: each.took_s for each in self.benchmarks}
        known = [took[name] for name in names if name in took]
        return sum(known), len(names) - len(known)
