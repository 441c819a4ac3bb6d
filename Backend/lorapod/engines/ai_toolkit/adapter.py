"""AI Toolkit behind the engine port."""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Sequence
from pathlib import Path

from lorapod.atomic import write_atomically
from lorapod.engines.ai_toolkit.config import (
    environment_of,
    for_slot,
    image_count,
    legacy_works,
    need_config,
    prepare_config,
    seed_of,
)
from lorapod.engines.inputs import refuse_inputs
from lorapod.engines.port import (
    EngineStatus,
    GeneratedFile,
    Generation,
    GenerationProgress,
    GenerationResult,
    GenerationRun,
    GenerationStopped,
)
from lorapod.errors import InternalError, error_of
from lorapod.processes.launch import ChildExit, LaunchSpec
from lorapod.settings import Settings
from lorapod.trainers.ai_toolkit.find import configured_installation, needed_installation
from lorapod.trainers.ai_toolkit.outcome import failure_of
from lorapod.trainers.ai_toolkit.paths import worker_rules
from lorapod.trainers.ai_toolkit.vocabulary import vocabulary
from lorapod.workspace import Workspace
from lorapod.yaml_config.text import dump_config

#: The bar of a run; the one in front of it is of the model's own class, the other of the first class.
_BAR = re.compile(r"Generating (?:Images|Samples):.*?\|\s*(?P<done>\d+)/(?P<total>\d+) ")

_MILESTONES = {
    "Loading model...": "loading the model",
    "Compiling model...": "about to generate",
}


#: Milliseconds since the epoch, and the count. Videos are WebP files too; a prompt may be in a text file beside its image.
_RESULT = re.compile(r"(?P<milliseconds>\d+)_(?P<count>\d+)\.(?P<ending>\w+)")
#: Folders for files that are being written, and for thumbnails.
_OWN_FOLDERS = (".tmp", ".thumbs")
_PROMPT_ENDING = "txt"


class AIToolkitEngine:
    """Runs an installed AI Toolkit, unmodified, one child for each generation; nothing stays loaded."""

    name = "ai-toolkit"
    #: Its own default is the processor, a hundred times slower.
    needs_gpu = True
    min_gpu_memory_bytes = 0

    def __init__(self, *, settings: Settings, workspace: Workspace) -> None:
        """Use the installation that the settings name; it may come and go while the worker runs."""
        self._settings = settings
        self._workspace = workspace

    def probe(self) -> EngineStatus:
        """Return whether an installation is there, after two or three looks at the file system."""
        installation, detail = configured_installation(self._settings, self._workspace)
        version = installation.version if installation is not None else None
        return EngineStatus(available=installation is not None, version=version, detail=detail)

    def prepare(self, generation: Generation) -> Sequence[str]:
        """Build and check the config.

        Raises:
            InvalidInput: AI Toolkit would refuse the config, or the request has no config.
            Unsupported: AI Toolkit is not installed here, or this version cannot generate with the architecture.
        """
        refuse_inputs(generation, self.name)
        _, warnings = self._config(generation)
        return warnings

    def generate(self, generation: Generation, run: GenerationRun) -> GenerationResult:
        """Run the child, and collect what it has made.

        Raises:
            GenerationStopped: it was stopped.
            WorkerError: it failed, with what AI Toolkit said.
            OSError: it could not be started.
        """
        prepared, _ = self._config(generation)
        config = for_slot(prepared, run.slot)
        path = generation.scratch / "config.yaml"
        write_atomically(path, dump_config(config).encode())
        installation = needed_installation(self._settings, self._workspace)
        total = image_count(config)
        run.report(GenerationProgress(total_images=total, detail="starting AI Toolkit"))
        # A run of this very process may have been cut short.
        before = frozenset(generation.folder.iterdir())
        began_s = time.monotonic()
        child = run.run_child(
            LaunchSpec(
                argv=(str(installation.python), str(installation.entry), str(path)),
                cwd=installation.root,
                environment=environment_of(generation),
            ),
            lambda text: _report(text, total, run),
        )
        files = results_of(generation.folder, before=before, seed=seed_of(config))
        tidy(generation.folder)
        _judge(child, made=len(files))
        return GenerationResult(files=files, timings={"generate_s": time.monotonic() - began_s})

    def release(self) -> None:
        """Do nothing: nothing stays loaded."""

    def close(self) -> None:
        """Do nothing: a child ends with its generation."""

    def _config(self, generation: Generation) -> tuple[dict[str, object], list[str]]:
        need_config(generation)
        installation = needed_installation(self._settings, self._workspace)
        return prepare_config(
            generation,
            worker_rules(self._settings, self._workspace, installation.root),
            vocabulary(installation.root, installation.version),
            legacy_works=legacy_works(installation.root),
        )


def _report(text: str, total: int, run: GenerationRun) -> None:
    if (bar := _BAR.search(text)) is not None:
        done = int(bar["done"])
        run.report(
            GenerationProgress(
                step=done,
                total_steps=int(bar["total"]),
                percent=100.0 * done / max(1, int(bar["total"])),
                image=min(done + 1, total),
                total_images=total,
                detail="generating",
            )
        )
    elif (detail := _MILESTONES.get(text.strip())) is not None:
        run.report(GenerationProgress(detail=detail))


def _judge(child: ChildExit, *, made: int) -> None:
    """Return after a success; exit code 0 is a failure if AI Toolkit was interrupted, or wrote nothing.

    Raises:
        GenerationStopped: it was stopped.
        WorkerError: it failed.
    """
    if child.stop_requested:
        raise GenerationStopped
    if child.exit_code != 0 or any(line.strip() == "Job stopped" for line in child.last_lines):
        failure = failure_of(child)
        raise error_of(failure.code, failure.message, hint=failure.hint)
    if not made:
        raise InternalError(
            "AI Toolkit ended without an error, but has made nothing.", hint="The log has its last words."
        )


def results_of(folder: Path, *, before: Collection[Path], seed: int | None) -> Sequence[GeneratedFile]:
    """Return the files that are new since `before`, in the order in which they were made."""
    found = []
    for path in folder.iterdir():
        matched = _RESULT.fullmatch(path.name)
        if matched and matched["ending"] != _PROMPT_ENDING and path not in before and path.is_file():
            found.append((int(matched["count"]), int(matched["milliseconds"]), path))
    return [GeneratedFile(path=path, seed=seed) for *_, path in sorted(found)]


def tidy(folder: Path) -> None:
    """Remove the files that are not results."""
    for name in _OWN_FOLDERS:
        for path in sorted((folder / name).glob("*")):
            path.unlink(missing_ok=True)
        if (folder / name).is_dir():
            (folder / name).rmdir()
