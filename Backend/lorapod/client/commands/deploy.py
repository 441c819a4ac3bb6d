"""`deploy`: make the endpoint on RunPod, or change what differs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from lorapod.client.commands.deploy_options import (
    CachedModelOption,
    DataCenterOption,
    DeployNameOption,
    DeployPresetOption,
    DestroyOption,
    EnvFromOption,
    EnvOption,
    FrontDoorChoice,
    FrontDoorImageOption,
    FrontDoorOption,
    GpuMemoryOption,
    IdleTimeoutOption,
    ImageOption,
    MaxPriceOption,
    MaxWorkersOption,
    MinCudaOption,
    SecretOption,
    TimeoutHoursOption,
    VolumeOption,
    VolumeSizeOption,
)
from lorapod.client.commands.platform_session import open_platform
from lorapod.client.commands.screen import Screen
from lorapod.client.commands.session import AsJson, ExitCode
from lorapod.client.deploy.applying import apply_plan, destroy
from lorapod.client.deploy.options import DeployOptions, WrongOption, merged_options
from lorapod.client.deploy.planning import make_plan
from lorapod.client.deploy.showing import plan_json, plan_lines
from lorapod.client.deploy.variables import container_variables
from lorapod.client.project_file import (
    ProjectFile,
    ProjectFileDamaged,
    project_path,
    read_project,
    write_project,
)


@dataclass(frozen=True, kw_only=True)
class _Run:
    """One run of the command."""

    context: typer.Context
    screen: Screen
    path: Path
    project: ProjectFile
    yes: bool
    dry_run: bool

    def save(self, project: ProjectFile) -> None:
        """Store what the next run must know."""
        write_project(self.path, project)

    def may_ask(self) -> None:
        """Refuse the call if there is a question and no terminal."""
        if not self.yes and not has_terminal():
            raise typer.BadParameter(
                "there is no terminal to ask on: add --yes, or --dry-run to look.", param_hint="--yes"
            )

    def confirm(self, question: str) -> None:
        """Ask a person, unless `--yes` has answered."""
        if not self.yes and not typer.confirm(question, err=True):
            self.screen.line("Nothing was changed.")
            raise typer.Exit(ExitCode.FAILED)


def has_terminal() -> bool:
    """Return whether there is a person to ask."""
    return sys.stdin.isatty()


def deploy(
    context: typer.Context,
    *,
    preset: DeployPresetOption = None,
    image: ImageOption = None,
    name: DeployNameOption = None,
    gpu_memory: GpuMemoryOption = None,
    max_price: MaxPriceOption = None,
    data_center: DataCenterOption = None,
    volume: VolumeOption = None,
    volume_size: VolumeSizeOption = None,
    max_workers: MaxWorkersOption = None,
    idle_timeout: IdleTimeoutOption = None,
    timeout_hours: TimeoutHoursOption = None,
    min_cuda: MinCudaOption = None,
    secret: SecretOption = None,
    env_from: EnvFromOption = None,
    env: EnvOption = None,
    front_door: FrontDoorOption = None,
    front_door_image: FrontDoorImageOption = None,
    cached_model: CachedModelOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the plan.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    destroy_all: DestroyOption = False,
    as_json: AsJson = False,
) -> None:
    """Make the endpoint on RunPod, or change what differs; show the plan with prices first."""
    given = {
        "preset": preset,
        "image": image,
        "name": name,
        "gpu_memory": gpu_memory,
        "max_price": max_price,
        "data_center": data_center,
        "volume": volume,
        "volume_size": volume_size,
        "max_workers": max_workers,
        "idle_timeout": idle_timeout,
        "timeout_hours": timeout_hours,
        "min_cuda": min_cuda,
        "front_door_image": front_door_image,
        "cached_model": cached_model,
        "front_door": None if front_door is None else front_door is FrontDoorChoice.CPU,
    }
    with _opened(context, as_json=as_json, yes=yes, dry_run=dry_run) as run:
        if destroy_all:
            _destroy(run)
            return
        variables = container_variables(
            plain=env or [], from_shell=env_from or [], secrets=secret or [], shell=os.environ
        )
        _deploy(run, merged_options({**given, "env": variables}, run.project.deploy))


@contextmanager
def _opened(context: typer.Context, *, as_json: bool, yes: bool, dry_run: bool) -> Iterator[_Run]:
    path = project_path()
    screen = Screen(as_json=as_json, context=context)
    try:
        project = read_project(path)
        yield _Run(context=context, screen=screen, path=path, project=project, yes=yes, dry_run=dry_run)
    except ProjectFileDamaged as error:
        raise typer.BadParameter(str(error), param_hint=str(path)) from None
    except WrongOption as error:
        raise typer.BadParameter(str(error), param_hint=error.option) from None


def _deploy(run: _Run, options: DeployOptions) -> None:
    with open_platform(run.context, run.screen) as platform:
        plan = make_plan(platform, options, run.project)
        for line in plan_lines(plan):
            run.screen.line(line)
        run.screen.warn(plan.warnings)
        if run.dry_run:
            _answer(run, {**plan_json(plan), "applied": False})
            return
        if not plan.is_done:
            run.may_ask()
            run.confirm("Do this?")
        done = apply_plan(platform, plan, run.project, save=run.save, tell=run.screen.line)
        _answer(
            run,
            {
                **plan_json(plan),
                "applied": True,
                "endpoint": done.endpoint,
                "front_door": done.front_door,
                "volume_id": done.volume,
            },
        )
        run.screen.line(f"Commands in this folder use it: {run.path} names it. Next: lorapod doctor")


def _destroy(run: _Run) -> None:
    """Ask twice, then delete the endpoints; never the volume."""
    project = run.project
    ids = [each for each in (project.endpoint, project.front_door) if each is not None]
    if not ids:
        raise WrongOption("--destroy", f"{run.path} names no endpoint, so there is nothing to delete.")
    named = " and ".join(ids)
    run.screen.line(f"Deletes {named}: running trainings end, queued jobs are lost.")
    run.screen.line(f"The volume {project.volume} and its files stay, and cost money each month.")
    if run.dry_run:
        _answer(run, {"endpoints": ids, "applied": False})
        return
    run.may_ask()
    run.confirm(f"Delete {named}?")
    run.confirm("Are you sure? This cannot be undone.")
    with open_platform(run.context, run.screen) as platform:
        done = destroy(platform, project, save=run.save, tell=run.screen.line)
    _answer(run, {"endpoints": ids, "volume": done.volume, "applied": True})


def _answer(run: _Run, answer: dict[str, object]) -> None:
    if run.screen.as_json:
        run.screen.answer(answer)
