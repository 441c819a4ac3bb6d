"""The last stages of `run`: the LoRA, the grid and the report, in a folder on this machine."""

from __future__ import annotations

import os
import re
import shlex
import sys
import webbrowser
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from lorapod.client.client import Client
from lorapod.client.commands.grid import save_grid
from lorapod.client.commands.report import write_report
from lorapod.client.commands.run_screen import RunScreen
from lorapod.client.commands.transfer import FileProgress, transfer_bar
from lorapod.client.errors import LorapodError
from lorapod.client.lora_run.content import next_names
from lorapod.client.lora_run.state import RunProgress, RunState
from lorapod.client.money.price_book import PriceLookup

_GRID = "comparison.png"
_REPORT = "report.html"


@dataclass(kw_only=True)
class RunResults:
    """The results of one run."""

    client: Client
    screen: RunScreen
    state: RunState
    run: RunProgress

    def complete(self) -> bool:
        """Return whether an earlier call has done everything, and its files are still there."""
        run = self.run
        return bool(run.lora and run.report) and all(
            Path(path).is_file() for path in (run.lora, run.report, run.grid) if path is not None
        )

    def choose_folder(self, asked: Path | None, name: str) -> Path:
        """Return the folder for the results: as asked, as before, or a new one here, named after the dataset."""
        run = self.run
        before = None if run.folder is None else Path(run.folder)
        if asked is not None and asked.absolute() != before:
            run.lora = run.grid = run.report = None
            run.folder = str(asked.absolute())
        elif before is None:
            free = next(each for each in next_names(f"{name}-lora") if not Path(each).exists())
            run.folder = str(Path(free).absolute())
        self.state.save()
        assert run.folder is not None
        return Path(run.folder)

    def fetch(self, folder: Path) -> None:
        """Download the chosen checkpoint and the grid, unless they are here.

        Raises:
            TransferFailed: a file did not arrive unchanged.
            OSError: a file cannot be written.
        """
        run = self.run
        assert run.checkpoint is not None
        if run.lora is None:
            run.lora = str(_free(folder, PurePosixPath(run.checkpoint).name))
            self.state.save()
        if Path(run.lora).is_file():
            self.screen.stage("download", f"done before: {_shown(run.lora)}")
        else:
            with transfer_bar(self.screen.screen) as bar:
                self.client.download(run.checkpoint, run.lora, on_progress=FileProgress(bar))
            self.screen.stage("download", _shown(run.lora))
        if run.comparison is None or (run.grid is not None and Path(run.grid).is_file()):
            return
        grid = save_grid(
            self.client, self.client.call("process_status", process_id=run.comparison), folder / _GRID
        )
        if grid is not None:
            run.grid = str(grid)
            self.state.save()
            self.screen.more(_shown(run.grid))

    def report(self, folder: Path, prices: PriceLookup) -> None:
        """Write the report, unless it is here; say plainly if it cannot be drawn."""
        run = self.run
        assert run.training is not None
        if run.report is not None and Path(run.report).is_file():
            self.screen.stage("report", f"done before: {_shown(run.report)}")
            return
        ids = [run.training, *([run.comparison] if run.comparison is not None else [])]
        try:
            with self.screen.reading("the report is drawn"):
                write_report(self.client, ids, folder / _REPORT, prices)
        except LorapodError as error:
            self.screen.screen.warn([f"there is no report: {error}"])
            return
        run.report = str(folder / _REPORT)
        self.state.save()
        self.screen.stage("report", _shown(run.report))

    def show(self, dataset: str, *, open_it: bool) -> None:
        """Print the path of the LoRA, and open the report."""
        run, screen = self.run, self.screen.screen
        if screen.as_json:
            screen.answer(self._answer(dataset))
        assert run.lora is not None
        screen.line(run.lora)
        if screen.aside.is_terminal and run.training is not None and not screen.as_json:
            self.screen.stage("next", f'lorapod generate "PROMPT" --lora {as_lora(run)}')
        if open_it and run.report is not None and screen.console.is_terminal and has_browser():
            webbrowser.open(Path(run.report).as_uri())

    def _answer(self, dataset: str) -> dict[str, Any]:
        run = self.run
        return {
            "dataset": dataset,
            "process_id": run.training,
            "compare_id": run.comparison,
            "checkpoint": run.checkpoint,
            "step": run.step,
            "recommended": run.recommended,
            "why": run.why,
            "lora": run.lora,
            "grid": run.grid,
            "report": run.report,
        }


def as_lora(run: RunProgress) -> str:
    """Return how `generate` names the chosen checkpoint: by the training if it is the final one, else by its path."""
    checkpoint = run.checkpoint or ""
    is_final = not re.search(r"_\d{9}\.safetensors$", checkpoint)
    return run.training if is_final and run.training is not None else shlex.quote(checkpoint)


def has_browser() -> bool:
    """Return whether a page opens in a window: over SSH, a browser for texts would take the terminal."""
    shown = any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))
    return shown or sys.platform in {"darwin", "win32"}


def _free(folder: Path, name: str) -> Path:
    """Return a file of this name, or one with a number, that is not there yet."""
    stem, suffix = PurePosixPath(name).stem, PurePosixPath(name).suffix
    return next(path for each in next_names(stem) if not (path := folder / f"{each}{suffix}").exists())


def _shown(path: str) -> str:
    """Return a path as short as it can be from here."""
    absolute = Path(path)
    return str(absolute.relative_to(Path.cwd())) if absolute.is_relative_to(Path.cwd()) else path
