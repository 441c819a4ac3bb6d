from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.benchmarks.report import Report

from benchmark_figures.machine import this_machine
from benchmark_figures.results import Benchmark, Results

_REPORT = pytest.StashKey[Report]()
_WHY = pytest.StashKey[str]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--results", type=Path, help="where the figures of this run are kept beside older ones")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Say how long it takes, by the last runs; forget benchmarks that no longer exist, if all are to run."""
    path: Path | None = session.config.getoption("--results")
    if path is None or session.config.option.collectonly:
        return
    if (
        not session.config.option.keyword
        and len(session.config.args) == 1
        and "::" not in session.config.args[0]
    ):
        Results.load(path).only(_name(item) for item in session.items).save(path)
    seconds, unknown = Results.load(path).estimate([_name(item) for item in session.items])
    never = f"; {unknown} of them never ran, which may add minutes each" if unknown else ""
    sys.stdout.write(
        f"\n{len(session.items)} benchmarks, about {seconds / 60:.0f} minutes by their last runs{never}\n"
    )


@pytest.fixture
def report(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Report:
    """Records figures, and writes each as a line past pytest's capture."""

    def show(line: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n  {line}")

    item: pytest.Item = request.node
    return item.stash.setdefault(_REPORT, Report(show))


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Fail a benchmark with a broken bound, once everything in it is measured."""
    told = yield
    report = pyfuncitem.stash.get(_REPORT, None)
    if report is not None and (broken := report.broken()):
        pytest.fail("\n".join(["a bound is broken:", *broken]), pytrace=False)
    return told


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Keep what a benchmark measured, or why it measured nothing."""
    began = time.monotonic()
    try:
        return (yield)
    finally:
        path: Path | None = item.config.getoption("--results")
        if path is not None:
            # After each: a run that is broken off keeps what it has measured.
            Results.load(path).with_run(_benchmark(item, round(time.monotonic() - began, 1))).save(path)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    told = yield
    if told.skipped and isinstance(told.longrepr, tuple):
        item.stash[_WHY] = told.longrepr[2].removeprefix("Skipped: ")
    elif told.failed and call.excinfo is not None:
        first = (str(call.excinfo.value).splitlines() or [""])[0]
        item.stash.setdefault(_WHY, f"{call.excinfo.typename}: {first}" if call.when == "call" else first)
    return told


def _benchmark(item: pytest.Item, took_s: float) -> Benchmark:
    report = item.stash.get(_REPORT, None)
    figures = report.figures if report is not None else []
    broken = bool(report and report.broken())
    why = item.stash.get(_WHY, None)
    module = Path(item.path).stem.removeprefix("test_")
    return Benchmark(
        name=_name(item),
        group=module.replace("_", " ").capitalize(),
        command=f"make bench ARGS={shlex.quote(f'-k test_{module}')}",
        figures=figures,
        # A broken bound is beside its figure.
        not_measured=why
        if why is not None and not broken
        else None
        if figures
        else why or "it records no figure",
        measured_on=datetime.now(UTC).date(),
        machine=this_machine(),
        took_s=took_s,
    )


def _name(item: pytest.Item) -> str:
    return item.nodeid.rpartition("/")[2]
