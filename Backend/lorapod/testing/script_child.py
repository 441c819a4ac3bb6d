"""A child that behaves like a trainer, or misbehaves in a chosen way: `python script_child.py CONFIG.json CONTROL_FOLDER`.

It needs nothing but the standard library, so that it starts in a moment. The config's keys:

`steps`, `step_s`: how many, and how long each takes. `save_every`: a checkpoint each so many steps.
`behaviour`: `train` (the default), `crash` (exit 3 at half), `ignore_sigint`, `ignore_sigterm` (both),
`orphan` (leaves a grandchild that holds the output open), `silent` (no output), `flood` (lines without end),
`abort` (SIGABRT at half), `environment` (prints its environment as JSON and ends).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

stopped = False


def _stop(_number: int, _frame: object) -> None:
    global stopped  # noqa: PLW0603 - a signal handler of a script
    stopped = True


def _save(folder: Path, name: str, step: int, *, final: bool = False) -> None:
    suffix = "" if final else f"_{step:09d}"
    header = json.dumps({"__metadata__": {"training_info": json.dumps({"step": step, "epoch": 0})}}).encode()
    staged = folder / ".staged"
    staged.write_bytes(len(header).to_bytes(8, "little") + header)
    staged.rename(folder / f"{name}{suffix}.safetensors")


def _last_step(folder: Path, name: str) -> int:
    steps = [int(path.stem.rpartition("_")[2]) for path in folder.glob(f"{name}_*.safetensors")]
    return max(steps, default=0)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _prepare(behaviour: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN if behaviour.startswith("ignore") else _stop)
    if behaviour == "ignore_sigterm":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if behaviour == "environment":
        _say(json.dumps(dict(os.environ)))
    if behaviour == "orphan":
        subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"])


def _report(behaviour: str, name: str, step: int, steps: int) -> None:
    if behaviour == "flood":
        _say("x" * 10_000)
    if behaviour != "silent":
        sys.stderr.write(f"\r{name}: {step}/{steps} loss: {1 / step:.3e}")
        sys.stderr.flush()


def _break(behaviour: str) -> None:
    if behaviour == "crash":
        _say("Error running job: something broke")
        sys.exit(3)
    if behaviour == "abort":
        os.abort()


def main() -> None:
    """Train, or misbehave."""
    config = json.loads(Path(sys.argv[1]).read_text())
    wish = Path(sys.argv[2]) / "save_now"
    behaviour, name, folder = config["behaviour"], config["name"], Path(config["run_folder"])
    folder.mkdir(parents=True, exist_ok=True)
    _prepare(behaviour)
    start, steps = _last_step(folder, name), config["steps"]
    if start:
        _say(f"resuming from {start}")
    for step in range(start + 1, steps + 1):
        time.sleep(config["step_s"])
        _report(behaviour, name, step, steps)
        if step * 2 >= steps:
            _break(behaviour)
        if step % config["save_every"] == 0 or wish.exists():
            _save(folder, name, step)
            wish.unlink(missing_ok=True)
        if stopped:
            _say("Job stopped")
            return
    _save(folder, name, steps, final=True)


if __name__ == "__main__":
    main()
