"""The script trainer's child with a witness: it writes down every step, and cries out when it is not alone."""

from __future__ import annotations

import fcntl
import json
import os
import sys
import time
from pathlib import Path

#: Beside the run folder: what each child did, a JSON object a line.
WITNESS_NAME = "witness.jsonl"

#: Beside it: a line for each child that found another one at work.
CROWDED_NAME = "crowded.txt"

LOCK_NAME = "witness.lock"


def main() -> None:
    """Train as the script does, under a lock that the kernel takes back whatever kills its holder."""
    sys.path.insert(0, sys.argv.pop(1))
    from lorapod.testing import script_child

    here = Path.cwd()
    lock = os.open(here / LOCK_NAME, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        with (here / CROWDED_NAME).open("a") as crowded:
            crowded.write(f"{os.getpid()}\n")
    book = os.open(here / WITNESS_NAME, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    run = time.time_ns()

    def note(event: str, step: int) -> None:
        os.write(book, json.dumps({"run": run, "event": event, "step": step}).encode() + b"\n")

    report, save = script_child._report, script_child._save

    def reported(behaviour: str, name: str, step: int, steps: int) -> None:
        note("step", step)
        report(behaviour, name, step, steps)

    def saved(folder: Path, name: str, step: int, *, final: bool = False) -> None:
        save(folder, name, step, final=final)
        if not final:
            note("saved", step)

    script_child._report, script_child._save = reported, saved
    script_child.main()


if __name__ == "__main__":
    main()
