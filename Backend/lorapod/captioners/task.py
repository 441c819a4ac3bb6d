"""Captionings as processes: a captioner's work in its supervisor's thread, while it holds a GPU."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from lorapod.captioners.ledger import NAME, CaptionLedger
from lorapod.captioners.order import CaptionOrder
from lorapod.captioners.port import Captioner, CaptionImage, CaptioningStopped, CaptionRequest
from lorapod.captioners.progress import CaptioningRun
from lorapod.captioners.prompts import FILENAME, CaptionStyle, fill_prompt, usual_prompt, usual_style
from lorapod.captioners.registry import CaptionerRegistry
from lorapod.captioners.selection import Selection, select
from lorapod.captioners.writing import sweep
from lorapod.dataset_reader.item import DatasetItem, ItemKind
from lorapod.datasets.looks.video_frames import FramesMissing, VideoFrames
from lorapod.datasets.publish import FindReader
from lorapod.errors import Conflict, GpuUnavailable, NotFound
from lorapod.processes.order import Order, TaskOrder
from lorapod.processes.requests import Capability
from lorapod.processes.task import TaskRun, TaskStopped, TaskWork
from lorapod.processes.work import Plan
from lorapod.records.record import ProcessRecord, TaskDetails
from lorapod.workspace import Workspace

#: Frames that stand for a video.
FRAMES = 4

#: How long a captioning waits for a younger one of the same dataset to give way.
_GIVES_WAY_S = 10.0
_ASK_AGAIN_S = 0.2


@dataclass(frozen=True, kw_only=True)
class CaptionKind:
    """Processes of type `caption`; their order's input is a `CaptionOrder`."""

    captioners: CaptionerRegistry
    workspace: Workspace
    #: A folder on local disk.
    scratch: Path
    #: Finds the process that uses a dataset.
    find_user: FindReader
    #: Waits until no edit of a dataset is under way, or the second argument says that the wait is over.
    settle_edits: Callable[[Path, Callable[[], bool]], None]
    #: Takes frames out of videos; None: nothing here opens videos.
    frames: VideoFrames | None
    #: Whether a captioner that needs a GPU may run: there is one, or the operator allows the processor.
    may_run: Callable[[], bool]

    name = "caption"
    resumable = True
    not_resumable = ""

    @property
    def order_type(self) -> type[Order]:
        """Orders of tasks."""
        return TaskOrder

    def plan(self, process_id: str, order: TaskOrder, live: object = None) -> Plan:
        """Choose the captioner and the images.

        Raises:
            WorkerError: what is refused.
            OSError: the dataset cannot be read.
        """
        del live
        wanted = CaptionOrder.of(order.input)
        captioner = self.captioners.choose(wanted.captioner)
        request = self._request(wanted, process_id)
        warnings = list(captioner.prepare(request))
        if captioner.needs_gpu and not self.may_run():
            raise GpuUnavailable(
                f"{captioner.name} captions on a GPU, and this worker has none.",
                hint="Choose a GPU type for the endpoint, or set ALLOW_CPU.",
            )
        folder = self._folder(wanted)
        self._check_free(folder, process_id)
        selection = self._select(wanted, folder, process_id)
        return Plan(
            work=TaskWork(
                partial(self._caption, wanted, request, captioner if selection.items else None),
                needs_slot=bool(selection.items),
                resident=captioner,
                secrets=order.secrets,
                clean_up=partial(shutil.rmtree, request.scratch, ignore_errors=True),
            ),
            name=folder.name,
            task=TaskDetails(engine=captioner.name, restartable=True, dataset=wanted.path),
            warnings=warnings,
        )

    def capabilities(self, record: ProcessRecord) -> frozenset[Capability]:
        """Return none: a captioning takes no control requests."""
        del record
        return frozenset()

    def _request(self, wanted: CaptionOrder, process_id: str) -> CaptionRequest:
        prompt = _prompt(wanted)
        return CaptionRequest(
            process_id=process_id,
            model=wanted.model,
            style=_style(wanted),
            prompt=fill_prompt(prompt, trigger_word=wanted.trigger_word),
            by_name=FILENAME in prompt,
            own_prompt=wanted.prompt is not None,
            max_new_tokens=wanted.max_new_tokens,
            batch_size=wanted.batch_size,
            scratch=self.scratch / process_id,
        )

    def _folder(self, wanted: CaptionOrder) -> Path:
        folder = self.workspace.safe_path(wanted.path)
        if not folder.is_dir():
            raise NotFound(f"The dataset {wanted.path!r} is gone.", hint="`datasets` lists what there is.")
        return folder

    def _check_free(self, folder: Path, process_id: str) -> None:
        if (user := self.find_user(folder, process_id)) is not None:
            raise Conflict(
                f"The dataset {folder.name!r} cannot be captioned: the process {user} uses it.",
                hint=f"Wait until {user} has ended, or cancel it.",
            )

    def _await_free(self, folder: Path, run: TaskRun) -> None:
        """Return once nothing else uses the dataset.

        Two workers may accept a captioning of it at the same moment. Each process is stored before it asks here, so at least
        one sees the other; the younger one gives way, and the older one waits for that.

        Raises:
            Conflict: something else uses it.
        """
        until_s = time.monotonic() + _GIVES_WAY_S
        while (user := self.find_user(folder, run.process_id)) is not None:
            younger = user.startswith(f"{self.name}_") and user > run.process_id
            if not younger or time.monotonic() > until_s:
                self._check_free(folder, run.process_id)
            if run.stopped():
                raise TaskStopped
            time.sleep(_ASK_AGAIN_S)

    def _select(self, wanted: CaptionOrder, folder: Path, process_id: str) -> Selection:
        ledger = CaptionLedger(self.workspace.process_folder(process_id) / NAME)
        return select(folder, self.workspace.root, wanted, captioned=ledger.names, begun=ledger.begun)

    def _caption(
        self, wanted: CaptionOrder, request: CaptionRequest, captioner: Captioner | None, run: TaskRun
    ) -> Mapping[str, Any]:
        """Caption the images; without a captioner there was nothing to caption when it was planned, and it has no slot."""
        folder = self._folder(wanted)
        self.settle_edits(folder, run.stopped)
        self._await_free(folder, run)
        with CaptionLedger(self.workspace.process_folder(run.process_id) / NAME) as ledger:
            selection = select(folder, self.workspace.root, wanted, captioned=ledger.names, begun=True)
            sweep(folder, selection.caption_ext)
            run.started()
            at_work = CaptioningRun(run, wanted, selection, ledger)
            run.note(
                f"captioning {len(selection.items)} of {folder.name}'s images; "
                f"{selection.skipped} have a caption, {selection.done} were captioned before"
            )
            at_work.report("starting")
            try:
                if selection.items and captioner is not None:
                    request.scratch.mkdir(parents=True, exist_ok=True)
                    captioner.caption(request, self._images(wanted, request, selection, at_work), at_work)
                    at_work.check()
            except CaptioningStopped:
                raise TaskStopped from None
            finally:
                # However it ends: what it has written stays, and its caller learns how much that is.
                run.keep_outcome(at_work.outcome)
        return at_work.outcome

    def _images(
        self, wanted: CaptionOrder, request: CaptionRequest, selection: Selection, run: CaptioningRun
    ) -> Iterator[CaptionImage]:
        """Yield the images; take the frames out of a video when its turn comes."""
        for number, item in enumerate(selection.items):
            shown = item.name.encode("utf-8", errors="backslashreplace").decode()
            if shown != item.name:
                run.failed(shown, "Its name is not UTF-8 text. Rename the file.")
                continue
            try:
                pictures = self._pictures(item, request.scratch / "frames" / f"{number:06d}")
            except FramesMissing as error:
                run.failed(item.name, str(error))
                continue
            prompt = fill_prompt(
                _prompt(wanted), trigger_word=wanted.trigger_word, filename=PurePosixPath(item.name).stem
            )
            yield CaptionImage(name=item.name, pictures=pictures, prompt=prompt)

    def _pictures(self, item: DatasetItem, folder: Path) -> list[Path]:
        if item.kind is not ItemKind.VIDEO:
            return [item.path]
        if self.frames is None:
            raise FramesMissing("This worker cannot open videos: it has neither PyAV nor ffmpeg.")
        return self.frames.take(item.path, folder, count=FRAMES)


def _style(wanted: CaptionOrder) -> CaptionStyle:
    return wanted.style or usual_style(wanted.arch)


def _prompt(wanted: CaptionOrder) -> str:
    """Return what the model is asked, with nothing filled in."""
    return wanted.prompt or usual_prompt(_style(wanted), wanted.arch, trigger_word=wanted.trigger_word)
