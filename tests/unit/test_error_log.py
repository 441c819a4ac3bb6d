from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from tests.error_log import ErrorLog, error_log, errors_of, unexpected

TRACEBACK = (
    "Exception in thread Thread-1:\nTraceback (most recent call last):\n  File 'a'\n    b()\nOSError: full"
)


def journal(level: str, logger: str, **fields: str) -> str:
    return json.dumps({"at": "now", "level": level, "logger": logger, "message": "no good", **fields})


@pytest.mark.parametrize("logger", ["lorapod", "lorapod.events.lane"])
@pytest.mark.parametrize("level", [logging.ERROR, logging.CRITICAL])
def test_an_error_of_this_process_is_noted_once(logger: str, level: int) -> None:
    logging.getLogger(logger).log(level, "no %s", "good")
    assert error_log.take() == [f"{logger}: no good"]
    assert error_log.take() == []


def test_what_was_raised_is_said() -> None:
    try:
        raise OSError("full")
    except OSError:
        logging.getLogger("lorapod").exception("no good")
    assert error_log.take() == ["lorapod: no good: OSError('full')"]


def test_warnings_and_the_errors_of_others_are_not_noted() -> None:
    logging.getLogger("lorapod").warning("no good")
    logging.getLogger("lorapodder").error("no good")
    logging.getLogger("asyncio").error("no good")
    assert error_log.take() == []


def test_a_workers_output_is_read_wherever_an_endpoint_writes_it(tmp_path: Path) -> None:
    logging.getLogger("lorapod.endpoint.output").info("[%s] %s", "w1", journal("ERROR", "lorapod.x"))
    log = ErrorLog()
    folder = log.watch(tmp_path)
    (folder / "w2.log").write_text(journal("ERROR", "lorapod.y") + "\n")
    assert error_log.take() == ["lorapod.x: no good"]
    assert log.take() == ["lorapod.y: no good"]
    assert log.take() == []


def test_a_journal_tells_errors_and_what_was_raised() -> None:
    lines = [
        journal("WARNING", "lorapod"),
        "[w1] " + journal("ERROR", "lorapod.x", traceback="Traceback\n  File\nOSError: full"),
        journal("ERROR", "runpod"),
        '{"level": "ERROR"',
    ]
    assert list(errors_of("\n".join(lines))) == ["lorapod.x: no good: OSError: full"]


def test_a_traceback_outside_of_the_journal_is_an_error() -> None:
    assert list(errors_of(f"before\n{TRACEBACK}\nafter")) == [TRACEBACK]


def test_a_test_gets_what_it_expects_and_nothing_else() -> None:
    assert unexpected(["lorapod: full"], ["full"]) == []
    assert unexpected(["lorapod: full"], []) == ["logged: lorapod: full"]
    assert unexpected([], ["full"]) == ["not logged: full"]


PROBE = """
import logging, subprocess, sys, threading, pytest

def test_logs(): logging.getLogger("lorapod.x").error("no good")

@pytest.mark.expects_errors("no good")
def test_expects(): logging.getLogger("lorapod.x").error("no good")

@pytest.mark.expects_errors("no good")
def test_expects_in_vain(): pass

def test_child(): subprocess.run([sys.executable, "-S", "-c", "0/0"])

def test_clean(): pass
"""


def test_the_suite_fails_a_test_whose_worker_logs_an_error(pytester: pytest.Pytester) -> None:
    root = Path(__file__).parents[2]
    pytester.makepyprojecttoml(
        '[tool.pytest.ini_options]\nmarkers = ["expects_errors(*sentences): x"]\n'
        f'pythonpath = ["{root}"]\nasyncio_default_fixture_loop_scope = "function"\n'
    )
    pytester.makeconftest((root / "tests/conftest.py").read_text("utf-8"))
    pytester.makepyfile(PROBE)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=5, errors=3)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at teardown of test_logs*",
            "logged: lorapod.x: no good",
            "*ERROR at teardown of test_expects_in_vain*",
            "not logged: no good",
            "*ERROR at teardown of test_child*",
            "ZeroDivisionError*",
        ]
    )
