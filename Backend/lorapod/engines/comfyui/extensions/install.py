"""Installs extensions: once for all workers of a volume, bounded in time, and never in the way of ComfyUI's start."""

from __future__ import annotations

import shlex
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from lorapod.atomic import replace_file
from lorapod.engines.comfyui.extensions.command import CommandRunner
from lorapod.engines.comfyui.extensions.environment import ComfyEnvironment, look_at_environment, make_overlay
from lorapod.engines.comfyui.extensions.place import (
    RETRY_S,
    ExtensionFailure,
    ExtensionFolder,
    ExtensionHome,
    is_on_volume,
)
from lorapod.engines.comfyui.extensions.wanted import Extension, parse_wanted
from lorapod.engines.comfyui.folders import ComfyFolders
from lorapod.errors import UpstreamError, WorkerError, WorkerTimeout
from lorapod.installations import Installation

#: How long one extension may take.
INSTALL_S = 900.0
_PIP = ("-m", "pip", "install", "-q", "--no-input", "--disable-pip-version-check", "--progress-bar", "off")


@dataclass(frozen=True, kw_only=True)
class ExtensionInstaller:
    """Installs what `COMFYUI_NODES` asks for."""

    installation: Installation
    workspace: Path
    #: `COMFYUI_NODES`.
    wanted: str
    #: `COMFYUI_ARGS`: they may move its folder of extensions.
    arguments: str = ""
    #: The URL of ComfyUI's registry.
    registry: str
    #: What commands inherit: see `Settings.installer_environment`.
    environment: Mapping[str, str]
    #: When no other extension is begun, on the monotonic clock.
    until_s: float
    stopped: Callable[[], bool] = lambda: False
    #: Gets one sentence for each thing that takes time.
    say: Callable[[str], None] = lambda _: None
    #: Install into ComfyUI's own folder and environment, as an image that is being built needs it.
    in_place: bool = False

    def ensure(self) -> tuple[Path, Sequence[str]]:
        """Install what is missing; return the Python that runs ComfyUI with it, and a sentence for each failure.

        Raises:
            InstallStopped: it was to be stopped.
        """
        wanted = parse_wanted(self.wanted)
        home = self._home()
        failures = list(wanted.refused.values())
        try:
            python = self._ensure(wanted.extensions, home)
            failures += home.messages(wanted.extensions).values()
        except (WorkerError, OSError) as error:
            python = self.installation.python
            failures.append(f"No extension was looked at: {_reason(error)}.")
        for failure in failures:
            self.say(failure)
        return python, failures

    def _ensure(self, extensions: Sequence[Extension], home: ExtensionHome) -> Path:
        runner = self._runner(self.until_s)
        base = look_at_environment(self.installation.python, runner)
        folders = ComfyFolders.of(self.installation.root, shlex.split(self.arguments))
        own = ExtensionFolder(folder=folders.custom_nodes)
        if self._is_in_place:
            self._install_missing(extensions, home, own, base, lambda: base)
            return base.python
        beside = ExtensionFolder(folder=home.folder / base.key)
        environment = beside.folder / "environment.disabled"

        def overlay() -> ComfyEnvironment:
            return replace(base, python=make_overlay(base, environment, runner))

        # What the image has already stays the image's.
        missing = [each for each in extensions if not own.path(each).is_dir() or own.path(each).is_symlink()]
        self._install_missing(missing, home, beside, base, overlay)
        for extension in missing:
            if beside.has(extension):
                _link(own.path(extension), beside.path(extension))
        return environment / "bin/python" if (environment / "complete").exists() else base.python

    def _install_missing(
        self,
        extensions: Sequence[Extension],
        home: ExtensionHome,
        folder: ExtensionFolder,
        base: ComfyEnvironment,
        environment: Callable[[], ComfyEnvironment],
    ) -> None:
        noted = home.failures()
        missing = [
            each for each in extensions if not folder.has(each) and not _failed_lately(each, noted, base.key)
        ]
        if not missing:
            return
        self.say(f"installing ComfyUI's extensions {', '.join(each.name for each in missing)}")
        with home.locked(self.until_s, self.stopped):
            for extension in missing:
                if folder.has(extension):
                    # Another worker installed it meanwhile.
                    continue
                try:
                    if time.monotonic() >= self.until_s:
                        raise WorkerTimeout("there was no time left", hint="Raise STARTUP_TIMEOUT.")
                    self._install(extension, folder, home, environment())
                except (WorkerError, OSError) as error:
                    home.note_failure(_failure(extension, error, base.key))
                    shutil.rmtree(folder.staging(extension), ignore_errors=True)
                else:
                    home.forget_failure(extension.name)

    def _install(
        self,
        extension: Extension,
        folder: ExtensionFolder,
        home: ExtensionHome,
        environment: ComfyEnvironment,
    ) -> None:
        runner = self._runner(min(self.until_s, time.monotonic() + INSTALL_S))
        staging, place, aside = folder.staging(extension), folder.path(extension), folder.aside(extension)
        for left in (staging, aside):
            if left.exists():
                shutil.rmtree(left)
        # Imported here: it brings an HTTP library, without which a worker starts.
        from lorapod.engines.comfyui.extensions.sources import fetch_extension

        fetch_extension(extension, staging, runner, self.registry)
        constraints = home.folder / "constraints.txt"
        constraints.parent.mkdir(parents=True, exist_ok=True)
        replace_file(constraints, environment.constraints.encode())
        _install_requirements(staging, environment.python, constraints, runner)
        folder.mark(staging, extension)
        if place.exists():
            place.rename(aside)
        staging.rename(place)
        shutil.rmtree(aside, ignore_errors=True)

    def _runner(self, until_s: float) -> CommandRunner:
        return CommandRunner(environment=self.environment, until_s=until_s, stopped=self.stopped)

    @property
    def _is_in_place(self) -> bool:
        return self.in_place or is_on_volume(self.installation.root, self.workspace)

    def _home(self) -> ExtensionHome:
        if self.in_place:
            return ExtensionHome(home=self.installation.root.absolute())
        return ExtensionHome.of(self.installation.root, self.workspace)


def _install_requirements(folder: Path, python: Path, constraints: Path, runner: CommandRunner) -> None:
    """Install what an extension needs, then run its own installer, as ComfyUI's manager does."""
    kept = {"PIP_CONSTRAINT": str(constraints)}
    hint = "Its requirements do not fit this ComfyUI: choose another commit or version of it."
    if (folder / "requirements.txt").exists():
        argv = [str(python), *_PIP, "--constraint", str(constraints), "-r", "requirements.txt"]
        try:
            runner.run(argv, cwd=folder)
        except UpstreamError as error:
            raise UpstreamError(f"pip: {error.message}", hint=hint) from None
    if (folder / "install.py").exists():
        try:
            runner.run([str(python), "install.py"], cwd=folder, **kept)
        except UpstreamError as error:
            raise UpstreamError(f"its install.py: {error.message}", hint=hint) from None


def _failed_lately(extension: Extension, noted: Mapping[str, ExtensionFailure], environment: str) -> bool:
    failure = noted.get(extension.name)
    if failure is None or (failure.source, failure.environment) != (extension.source, environment):
        return False
    return abs(time.time() - failure.failed_at) < RETRY_S


def _failure(extension: Extension, error: WorkerError | OSError, environment: str) -> ExtensionFailure:
    hint = getattr(error, "hint", None) or "A start after an hour tries again."
    return ExtensionFailure(
        name=extension.name,
        source=extension.source,
        message=f"{extension.name} was not installed: {_reason(error).rstrip('.')}. {hint}",
        environment=environment,
        failed_at=time.time(),
    )


def _reason(error: WorkerError | OSError) -> str:
    return error.message if isinstance(error, WorkerError) else error.strerror or type(error).__name__


def _link(place: Path, target: Path) -> None:
    """Have ComfyUI see an extension of the volume."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_symlink():
        if place.readlink() == target:
            return
        place.unlink(missing_ok=True)
    with suppress(FileExistsError):
        place.symlink_to(target)
