"""One captioning while it runs: writes captions, counts images, reports how far it is."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Mapping
from typing import Any

from lorapod.captioners.ledger import CaptionLedger
from lorapod.captioners.order import CaptionOrder, Overwrite
from lorapod.captioners.selection import Selection
from lorapod.captioners.writing import clean_caption, shorten_caption, write_caption
from lorapod.datasets.captions import with_trigger
from lorapod.errors import NotFound, Unsupported, UpstreamError
from lorapod.processes.launch import ChildExit, LaunchSpec
from lorapod.processes.task import TaskRun
from lorapod.records.progress import StoredProgress
from lorapod.records.status import Phase

#: Failures that the outcome names; a dataset may have thousands.
_NAMED_MAX = 100

#: Images that the model may fail on before any has a caption: then it would fail on all.
_MODEL_FAILURES_MAX = 3

#: What the system answers if the name of one caption cannot be used, as when a folder has it.
_OF_ONE_FILE = {errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOENT, errno.ENOTEMPTY}
#: What it answers if the whole dataset cannot be written.
_READ_ONLY = {errno.EACCES, errno.EPERM, errno.EROFS}


class CaptioningRun:
    """A task's run, as a captioner sees it: a `lorapod.captioners.port.CaptionRun`."""

    def __init__(
        self, run: TaskRun, order: CaptionOrder, selection: Selection, ledger: CaptionLedger
    ) -> None:
        """Write captions for the images of `selection`; note each in `ledger`, which is open."""
        self.slot = run.slot
        self.environment = run.environment
        self._run = run
        self._order = order
        self._ledger = ledger
        self._folder = selection.folder
        self._paths = {item.name: selection.caption_path(item) for item in selection.items}
        self._captioned = selection.done
        self._skipped = selection.skipped
        self._failed = 0
        self._failures: list[dict[str, str]] = []
        self._model_error: str | None = None
        self._model_failures = 0
        self._total = selection.done + len(selection.items)
        self._new = 0
        self._began_s: float | None = None
        #: Images that were done then.
        self._before = 0
        self._detail: str | None = None

    @property
    def outcome(self) -> Mapping[str, Any]:
        """What the process has done so far, as its record shows it at the end."""
        more = {"failed_count": self._failed} if self._failed > len(self._failures) else {}
        return {
            "captioned": self._captioned,
            "skipped": self._skipped,
            "failed": list(self._failures),
            **more,
        }

    def stopped(self) -> bool:
        """Return whether to end early."""
        return self._run.stopped()

    def report(self, detail: str, phase: Phase | None = None) -> None:
        """Report what it does now."""
        self._detail = detail
        self._show(phase)

    def captioned(self, name: str, text: str) -> None:
        """Write the caption of one image."""
        caption = clean_caption(text)
        if not caption:
            self.failed(name, "The model answered without a text.", by_model=True)
            return
        if self._order.trigger_word:
            caption = shorten_caption(with_trigger(caption, self._order.trigger_word))
        try:
            written = self._write(name, caption)
        except OSError as error:
            if error.errno not in _OF_ONE_FILE:
                raise
            self.failed(name, f"Its caption cannot be written: {error.strerror}.")
            return
        if written:
            self._ledger.add(name)
            self._captioned += 1
            self._new += 1
        else:
            self._run.note(f"{name} has got a caption meanwhile, which stays")
            self._skipped += 1
            self._total -= 1
        self._advance()

    def _write(self, name: str, caption: str) -> bool:
        """Write a caption; return False if there is one that stays.

        Raises:
            NotFound: the dataset is gone.
            Unsupported: nothing can be written to it.
            OSError: this caption cannot be written, or the disk failed.
        """
        path = self._paths[name]
        try:
            return write_caption(path, caption, overwrite=self._order.overwrite is Overwrite.ALL)
        except FileNotFoundError:
            if self._folder.is_dir():
                raise
            raise NotFound(
                f"The dataset {self._folder.name!r} is gone: it was removed or renamed while it was captioned.",
                hint="`datasets` lists what there is.",
            ) from None
        except OSError as error:
            if error.errno not in _READ_ONLY:
                raise
            raise Unsupported(
                f"No caption can be written to the dataset {self._folder.name!r}: {error.strerror}.",
                hint="Make its folder writable for the worker, or copy the dataset.",
            ) from error

    def failed(self, name: str, error: str, *, by_model: bool = False) -> None:
        """Note that one image gets no caption."""
        self._run.note(f"{name}: {error}")
        self._failed += 1
        if len(self._failures) < _NAMED_MAX:
            self._failures.append({"name": name, "error": error})
        if by_model:
            self._model_error = self._model_error or error
            self._model_failures += 1
            if self._model_failures >= _MODEL_FAILURES_MAX:
                self.check()
        self._advance()

    def check(self) -> None:
        """Return if the model has written a caption, or has not failed.

        Raises:
            WorkerError: it has failed on images, and written nothing.
        """
        if self._model_error is not None and not self._new:
            raise UpstreamError(
                f"The model has captioned no image. {self._model_error}",
                hint="Take another model or prompt; the log has the details.",
            )

    def log(self, text: str) -> None:
        """Write one line to the process's log."""
        self._run.log(text)

    def run_child(self, spec: LaunchSpec, on_line: Callable[[str], None]) -> ChildExit:
        """Run a child to its end."""
        return self._run.run_child(spec, on_line)

    def _advance(self) -> None:
        if self._began_s is None:
            # The model was loaded before that.
            self._began_s = time.monotonic()
            self._before = self._captioned + self._failed
        self._detail = None
        self._show(Phase.CAPTIONING)

    def _show(self, phase: Phase | None) -> None:
        done = self._captioned + self._failed
        self._run.progress(
            StoredProgress(
                image=done,
                total_images=self._total,
                told_percent=100.0 * done / self._total if self._total else 100.0,
                eta_s=self._eta_s(done),
                detail=self._detail,
            ),
            phase,
        )

    def _eta_s(self, done: int) -> float | None:
        if self._began_s is None or done <= self._before:
            return None
        rate_s = (time.monotonic() - self._began_s) / (done - self._before)
        return round(rate_s * (self._total - done), 1)
