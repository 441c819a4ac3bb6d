from __future__ import annotations

import threading

from lorapod.serverless import _closing_once

WAIT_S = 30.0


def test_a_worker_is_closed_once_and_every_caller_waits_for_it() -> None:
    """SIGTERM closes it in a thread of its own, and the end of the SDK's loop closes it, too."""
    calls: list[str] = []
    inside, go_on = threading.Event(), threading.Event()

    def close() -> None:
        calls.append("begun")
        inside.set()
        assert go_on.wait(WAIT_S)
        calls.append("ended")

    closing = _closing_once(close)
    first = threading.Thread(target=closing)
    first.start()
    assert inside.wait(WAIT_S)

    def close_again() -> None:
        closing()
        calls.append("second")

    second = threading.Thread(target=close_again)
    second.start()
    go_on.set()
    first.join(WAIT_S)
    second.join(WAIT_S)
    assert calls == ["begun", "ended", "second"]
