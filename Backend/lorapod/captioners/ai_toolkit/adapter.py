"""AI Toolkit's captioner of images behind the captioner port.

It captions whole folders, writes beside the images and replaces what is there; so it gets a folder of links on local disk,
and what it writes is taken from there as soon as its control table says that an image is done.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from lorapod.atomic import write_atomically
from lorapod.captioners.pictures import contact_sheet, open_picture
from lorapod.captioners.port import (
    CaptionerStatus,
    CaptionImage,
    CaptioningStopped,
    CaptionRequest,
    CaptionRun,
)
from lorapod.captioners.prompts import FILENAME
from lorapod.errors import NotFound, Unsupported, error_of
from lorapod.installations import Installation
from lorapod.model_paths import HUB_ID, ModelPaths
from lorapod.processes.launch import ChildExit
from lorapod.processes.slots import Slot
from lorapod.records.status import Phase
from lorapod.settings import Settings
from lorapod.trainers.ai_toolkit.find import configured_installation, needed_installation
from lorapod.trainers.ai_toolkit.launch import launch_job
from lorapod.trainers.ai_toolkit.outcome import failure_of
from lorapod.trainers.control_table import ControlTable
from lorapod.workspace import Workspace
from lorapod.yaml_config.text import dump_config

#: Its captioner of images, and the file that has it.
PROCESS_TYPE = "Qwen3VLCaptioner"
_SOURCE = Path("extensions_built_in") / "captioner" / "Qwen3VLCaptioner.py"

#: If one file fails, it prints the error and continues with the next.
_ERROR = re.compile(r"Error (?:processing|captioning file) .*?(?P<number>\d{6})\.\w+: (?P<reason>.*)")
_LOADING = re.compile(r"Loading .*model", re.IGNORECASE)

_CAPTION_SUFFIX = "txt"
#: Sides of the square whose area images are scaled down to, in pixels.
_MAX_RES = 1024


class AIToolkitCaptioner:
    """Runs an installed AI Toolkit, unmodified, one child for each captioning; nothing stays loaded."""

    name = "ai-toolkit"
    #: Its own default is the processor, a hundred times slower.
    needs_gpu = True

    def __init__(self, *, settings: Settings, workspace: Workspace) -> None:
        """Use the installation that the settings name; it may come and go while the worker runs."""
        self._settings = settings
        self._workspace = workspace
        self._paths = ModelPaths(workspace=workspace)

    def probe(self) -> CaptionerStatus:
        """Return whether an installation with captioners is there."""
        installation, detail = configured_installation(self._settings, self._workspace)
        if installation is not None and not (installation.root / _SOURCE).is_file():
            return CaptionerStatus(
                available=False,
                version=installation.version,
                detail="This version of AI Toolkit has no captioners.",
            )
        version = installation.version if installation is not None else None
        return CaptionerStatus(available=installation is not None, version=version, detail=detail)

    def prepare(self, request: CaptionRequest) -> Sequence[str]:
        """Check the model and the prompt.

        Raises:
            Unsupported: AI Toolkit is not installed here, or the prompt differs from image to image.
            NotFound: there is no such model.
        """
        status = self.probe()
        if not status.available:
            raise Unsupported(f"The captioner ai-toolkit cannot run here: {status.detail}")
        if request.by_name:
            raise Unsupported(
                f"prompt: AI Toolkit asks the same of every image, so {FILENAME} cannot be filled in.",
                hint="Leave it out, or take the captioner transformers.",
            )
        self._model(request)
        return []

    def caption(self, request: CaptionRequest, images: Iterable[CaptionImage], run: CaptionRun) -> None:
        """Run the child, and take over what it writes.

        Raises:
            CaptioningStopped: it was stopped.
            WorkerError: it failed, with what AI Toolkit said.
            OSError: it could not be started, or a caption not be written.
        """
        installation = needed_installation(self._settings, self._workspace)
        staged = _StagedImages(request.scratch / "images")
        for image in images:
            if run.stopped():
                raise CaptioningStopped
            staged.add(image, run)
        if not staged.names:
            return
        control_path = request.scratch / "control.db"
        config = self._config(request, staged, control_path, run.slot)
        config_path = request.scratch / "caption.yaml"
        write_atomically(config_path, dump_config(config).encode())
        run.report("starting AI Toolkit")
        child = self._run(request, installation, config_path, control_path, staged, run)
        if child.stop_requested:
            raise CaptioningStopped
        if child.exit_code != 0:
            failure = failure_of(child)
            raise error_of(failure.code, failure.message, hint=failure.hint)
        staged.collect(len(staged.names), run)

    def release(self) -> None:
        """Do nothing: nothing stays loaded."""

    def close(self) -> None:
        """Do nothing: a child ends with its captioning."""

    def _run(  # noqa: PLR0917 - each is another part of one launch
        self,
        request: CaptionRequest,
        installation: Installation,
        config_path: Path,
        control_path: Path,
        staged: _StagedImages,
        run: CaptionRun,
    ) -> ChildExit:
        spec = launch_job(
            installation,
            config_path,
            control_path=control_path,
            process_id=request.process_id,
            name=request.process_id,
            total_steps=len(staged.names),
        )
        table = ControlTable(control_path, request.process_id)

        def read(text: str) -> None:
            staged.note(text)
            if _LOADING.search(text) is not None:
                run.report("loading the model", Phase.LOADING_MODEL)
            if (row := table.read()) is not None:
                staged.collect(row.step, run)

        child = run.run_child(spec, read)
        if (row := table.read()) is not None:
            staged.collect(row.step, run)
        return child

    def _config(
        self, request: CaptionRequest, staged: _StagedImages, control_path: Path, slot: Slot
    ) -> dict[str, Any]:
        on_gpu = slot.gpu is not None
        device = "cuda" if on_gpu else "cpu"
        caption = {
            "model_name_or_path": self._model(request),
            "path_to_caption": str(staged.folder),
            "extensions": sorted({Path(name).suffix.lstrip(".") for name in staged.files}),
            "caption_extension": _CAPTION_SUFFIX,
            "recaption": True,
            "dtype": "bf16" if on_gpu else "float32",
            "device": device,
            "max_res": _MAX_RES,
            "max_new_tokens": request.max_new_tokens,
            "caption_prompt": request.prompt,
        }
        process = {
            "type": PROCESS_TYPE,
            "sqlite_db_path": str(control_path),
            "device": device,
            "caption": caption,
        }
        return {"job": "extension", "config": {"name": request.process_id, "process": [process]}}

    def _model(self, request: CaptionRequest) -> str:
        text = request.model or self._settings.caption_model
        path = None if "\0" in text else self._paths.find(text)
        if path is not None:
            return str(path)
        if not HUB_ID.fullmatch(text) or self._paths.names_own(text):
            raise NotFound(
                f"model: {text[:200]!r} is neither a folder in the workspace nor a HuggingFace id."
            )
        return text


class _StagedImages:
    """The folder that AI Toolkit captions: a link for each image, in the order of their numbers."""

    def __init__(self, folder: Path) -> None:
        """Make the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        #: Names in the dataset, by number.
        self.names: list[str] = []
        #: Names in the folder, by number.
        self.files: list[str] = []
        #: What AI Toolkit said of an image, by number.
        self._reasons: dict[int, str] = {}
        #: Images that were reported.
        self._told = 0

    def add(self, image: CaptionImage, run: CaptionRun) -> None:
        """Add an image; of a video, one image with its frames."""
        number = len(self.names)
        if len(image.pictures) == 1:
            name = f"{number:06d}{image.pictures[0].suffix.lower()}"
            (self.folder / name).symlink_to(image.pictures[0])
        else:
            name = f"{number:06d}.png"
            try:
                contact_sheet([open_picture(path) for path in image.pictures]).save(self.folder / name)
            except (OSError, ValueError) as error:
                run.failed(image.name, f"The frames of the video cannot be read: {error}.")
                return
        self.names.append(image.name)
        self.files.append(name)

    def note(self, line: str) -> None:
        """Keep what AI Toolkit says of an image that it could not caption."""
        if (found := _ERROR.search(line)) is not None:
            self._reasons[int(found["number"])] = found["reason"].strip().rstrip(".")

    def collect(self, done: int, run: CaptionRun) -> None:
        """Report the first `done` images that were not reported yet."""
        while self._told < min(done, len(self.names)):
            number = self._told
            self._told += 1
            path = self.folder / f"{number:06d}.{_CAPTION_SUFFIX}"
            text = path.read_text("utf-8", errors="replace") if path.exists() else None
            if not text and run.stopped():
                # It counts the image that was interrupted, too.
                continue
            if text is None:
                reason = self._reasons.get(number, "the log has what it said")
                run.failed(self.names[number], f"AI Toolkit could not caption it: {reason}.", by_model=True)
            else:
                run.captioned(self.names[number], text)
