"""That the page of benchmarks shows what was measured, against what, and what was not measured."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from benchmark_figures.figure import Figure
from benchmark_figures.page import render
from benchmark_figures.results import DRY_RUN, Benchmark, Results

CONFTEST = Path(__file__).parents[2] / "benchmarks" / "conftest.py"

CASES = """
import pytest

pytestmark = pytest.mark.benchmark

def test_good(report):
    report("Good", 2.0, "s", against="bare", reference=4.0, ratio_at_most=0.6)

def test_broken(report):
    report("Slow", 3.0, "s", at_most=1.0)
    report("Measured all the same", 5)

def test_fails(report):
    report("Before it failed", 1)
    raise OSError("the server is not there")

def test_skipped():
    pytest.skip("no ComfyUI: set COMFYUI_PATH")

def test_silent():
    pass
"""


def benchmark(name: str = "test_a.py::test_b", **fields: Any) -> Benchmark:
    return Benchmark.model_validate(
        {
            "name": name,
            "group": "Parts",
            "command": "make bench ARGS='-k test_a'",
            "measured_on": date(2026, 11, 29),
            "machine": "A processor, no GPU",
            "took_s": 2.5,
        }
        | fields
    )


@pytest.mark.parametrize(
    ("bound", "holds"),
    [
        ({}, True),
        ({"at_most": 2}, True),
        ({"at_most": 1.9}, False),
        ({"at_least": 2.1}, False),
        ({"ratio_at_most": 0.5}, True),
        ({"ratio_at_most": 0.4}, False),
        ({"ratio_at_least": 0.6}, False),
    ],
)
def test_a_bound_is_of_the_value_or_of_its_share_of_the_reference(
    bound: dict[str, float], *, holds: bool
) -> None:
    figure = Figure(what="a", value=2, against="b", reference=4, **bound)

    assert figure.holds is holds


def test_a_bound_of_a_ratio_is_broken_without_a_reference() -> None:
    assert not Figure(what="a", value=2, ratio_at_most=9).holds


def test_a_row_shows_the_figure_with_its_reference_bound_date_and_machine() -> None:
    figure = Figure(
        what="A ping", value=0.0207, unit="ms", against="five lines", reference=0.0414, ratio_at_most=1.1
    )

    page = render(Results(benchmarks=[benchmark(figures=[figure])]))

    assert "## Parts\n" in page
    assert (
        "| A ping | 0.0207 ms | five lines: 0.0414 ms | 0.5 | at most 1.1 of the reference | 2026-11-29, A |"
        in page
    )
    assert "`make bench ARGS='-k test_a'` (2 s)" in page
    assert "- **A**: A processor, no GPU" in page


def test_a_broken_bound_and_what_was_not_measured_are_rows() -> None:
    slow = Figure(what="Slow", value=3, unit="s", at_most=1)
    page = render(
        Results(
            benchmarks=[
                benchmark("test_a.py::test_slow", figures=[slow]),
                benchmark("test_a.py::test_no_server[s3]", not_measured="a | b\nc"),
            ]
        )
    )

    assert "| Slow | 3 s |  |  | **broken:** at most 1 s | 2026-11-29, A |" in page
    assert r"| no server (s3) | not measured: a \| b c | | | | 2026-11-29, A |" in page


def test_figures_of_a_gpu_are_missing_until_a_machine_with_one_measured_them() -> None:
    figure = Figure(what="Steps", value=9, unit="a second")
    on_cpu = benchmark("gpu-check::steps", figures=[figure], machine=f"A processor, NVIDIA L4, {DRY_RUN}")
    on_gpu = on_cpu.model_copy(update={"machine": "A processor, NVIDIA L4"})

    assert "Not measured yet" in render(Results())
    assert "Not measured yet" in render(Results(benchmarks=[on_cpu]))
    assert "Not measured yet" not in render(Results(benchmarks=[on_gpu]))


def test_a_run_replaces_its_own_rows_alone(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    for name, took_s in (("test_a.py::a", 1.0), ("test_a.py::b", 2.0), ("test_a.py::a", 3.0)):
        Results.load(path).with_run(benchmark(name, took_s=took_s)).save(path)

    kept = Results.load(path)

    assert {each.name: each.took_s for each in kept.benchmarks} == {"test_a.py::a": 3.0, "test_a.py::b": 2.0}
    assert kept.estimate(["test_a.py::a", "test_a.py::b", "test_a.py::c"]) == (5.0, 1)
    assert [each.name for each in kept.only(["test_a.py::b"]).benchmarks] == ["test_a.py::b"]


def test_a_run_keeps_figures_and_reasons(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST.read_text("utf-8"))
    pytester.makeini("[pytest]\nmarkers = benchmark\nasyncio_default_fixture_loop_scope = function")
    pytester.makepyfile(test_cases=CASES)

    ran = pytester.runpytest_inprocess("--results=results.json", "-p", "no:cacheprovider")

    ran.assert_outcomes(passed=2, failed=2, skipped=1)
    ran.stdout.fnmatch_lines(["*5 of them never ran*", "*Slow: 3 s; NOT at most 1 s*"])
    kept = {each.name: each for each in Results.load(pytester.path / "results.json").benchmarks}
    told = {
        name.rpartition("::test_")[2]: (len(each.figures), each.not_measured) for name, each in kept.items()
    }
    assert told == {
        "good": (1, None),
        "broken": (2, None),
        "fails": (1, "OSError: the server is not there"),
        "skipped": (0, "no ComfyUI: set COMFYUI_PATH"),
        "silent": (0, "it records no figure"),
    }
