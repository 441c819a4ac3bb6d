"""Write docs/benchmarks.md from the kept results: `python scripts/benchmarks.py`."""

from __future__ import annotations

from pathlib import Path

from benchmark_figures.page import render
from benchmark_figures.results import Results

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"

if __name__ == "__main__":
    PAGE.write_text(render(Results.load()), encoding="utf-8")
