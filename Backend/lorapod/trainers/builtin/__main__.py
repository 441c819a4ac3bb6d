"""`python -m lorapod.trainers.builtin CONFIG.yaml`: run the training of a config.

Exit codes are AI Toolkit's: 0 at the end and also when SIGINT stopped the training (then stdout ends with a
`Job stopped` banner), 1 after any error (`Error running job: …` on stdout, the traceback on stderr).
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from lorapod.atomic import write_atomically
from lorapod.errors import InvalidInput, NotFound, WorkerError
from lorapod.library_errors import code_of
from lorapod.trainers.builtin.config import BuiltinConfig
from lorapod.trainers.builtin.console import banner, quiet_libraries, say
from lorapod.trainers.builtin.dataset import find_images
from lorapod.trainers.builtin.interrupt import Interrupt, StoppedBySignal, StopRequested
from lorapod.trainers.builtin.job_row import JobRow
from lorapod.trainers.builtin.outcome import CODE_LINE, ERROR_LINE, STOPPED
from lorapod.trainers.builtin.parsing import parse_config
from lorapod.trainers.builtin.run_folder import RunCheckpoint, RunFolder
from lorapod.yaml_config import text as text_config


def main(arguments: Sequence[str]) -> int:
    """Run one job and return the exit code."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m lorapod.trainers.builtin CONFIG.yaml\n")
        return 2
    interrupt = Interrupt()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    say("Running 1 job")
    row: JobRow | None = None
    try:
        text, config = read_config(Path(arguments[0]))
        row = JobRow(config.process.sqlite_db_path)
        _run(config, text, row, interrupt)
    except (KeyboardInterrupt, StoppedBySignal):
        if row is not None:
            row.stopped()
        banner(STOPPED)
        return 0
    except StopRequested:
        if row is not None:
            row.stopped()
        say(f"{ERROR_LINE}{STOPPED}")
        return 1
    except Exception as error:  # noqa: BLE001 - the edge of the process: every error becomes a line of output
        message = _message(error)
        if row is not None:
            row.status("error", message)
        say(f"{CODE_LINE}{code_of(error)}\n{ERROR_LINE}{message}")
        traceback.print_exc()
        return 1
    return 0


def read_config(path: Path) -> tuple[str, BuiltinConfig]:
    """Return the text of the config file `path`, and the checked config.

    Raises:
        NotFound: the file does not exist.
        InvalidInput: it is not YAML, or it asks for something that this trainer cannot do.
    """
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError as error:
        raise NotFound(f"Could not find config file {path}") from error
    return text, parse_config(text_config.parse_config(text))


def _run(config: BuiltinConfig, text: str, row: JobRow, interrupt: Interrupt) -> None:
    process = config.process
    say(f"\n{'#' * 45}\n# Running job: {config.name}\n{'#' * 45}\n\nRunning  1 process")
    row.status("running", "Starting")
    row.check()
    folder = RunFolder(path=Path(process.training_folder, config.name), name=config.name)
    folder.path.mkdir(parents=True, exist_ok=True)
    folder.sweep()
    write_atomically(folder.config, text.encode())
    resumed, damaged = folder.newest_checkpoint()
    for path in damaged:
        say(f"Skipping {path}: it is damaged or cut off")
    row.saved_step = resumed.step if resumed else 0
    if not _is_finished(folder, resumed, process.train.steps):
        _check_model_path(process.model.name_or_path)
        _check_rank(resumed, process.network.linear)
        images = find_images(process.datasets, process.trigger_word, process.train.validation_config)
        quiet_libraries()
        # These imports take seconds; everything that can be checked without them is checked.
        from lorapod.trainers.builtin.job import TrainingJob

        TrainingJob(config, folder=folder, images=images, resumed=resumed, row=row, interrupt=interrupt).run()
    row.status("completed", "Training completed")


def _is_finished(folder: RunFolder, resumed: RunCheckpoint | None, steps: int) -> bool:
    """Return whether the final LoRA has all steps already; if so, mark it as the result of this run."""
    if resumed is None or resumed.step < steps or resumed.path != folder.final:
        return False
    say(f"#### IMPORTANT RESUMING FROM {resumed.path} ####")
    say(f"Found step {resumed.step} in metadata: all {steps} steps are done")
    folder.final.touch()
    say(f"Saved checkpoint to {folder.final}")
    return True


def _check_model_path(name_or_path: str) -> None:
    if name_or_path.startswith(("/", "./", "../", "~")) and not Path(name_or_path).exists():
        raise NotFound(f"The model {name_or_path} does not exist.")


def _check_rank(resumed: RunCheckpoint | None, rank: int) -> None:
    if resumed is not None and resumed.rank not in {None, rank}:
        raise InvalidInput(
            f"{resumed.path.name} has rank {resumed.rank}, the config asks for {rank}: "
            "keep the rank, or choose another name."
        )


def _message(error: Exception) -> str:
    if isinstance(error, WorkerError) and error.details:
        return "; ".join(f"{problem['field']}: {problem['error']}" for problem in error.details)
    return " ".join(str(error).split()) or type(error).__name__


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
