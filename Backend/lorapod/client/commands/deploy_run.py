"""One run of `deploy`: the plan, the questions, the steps."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import typer

from lorapod.client.commands.platform_session import open_platform
from lorapod.client.commands.screen import Screen
from lorapod.client.commands.session import ExitCode
from lorapod.client.deploy.applying import apply_plan, destroy
from lorapod.client.deploy.options import DeployOptions, WrongOption
from lorapod.client.deploy.planning import make_plan
from lorapod.client.deploy.showing import plan_json, plan_lines
from lorapod.client.errors import LorapodError
from lorapod.client.project_file import (
    ProjectFile,
    ProjectFileDamaged,
    project_path,
    read_project,
    write_project,
)


@dataclass(frozen=True, kw_only=True)
class DeployRun:
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
                "this is not a terminal, so nothing can be asked: add --yes, or --dry-run to look.",
                param_hint="--yes",
            )

    def confirm(self, question: str) -> None:
        """Ask a person, unless `--yes` has answered."""
        if not self.yes and not typer.confirm(question, err=True):
            self.screen.line("Nothing was changed.")
            raise typer.Exit(ExitCode.FAILED)


def has_terminal() -> bool:
    """Return whether there is a person to ask."""
    return sys.stdin.isatty()


@contextmanager
def opened(context: typer.Context, *, as_json: bool, yes: bool, dry_run: bool) -> Iterator[DeployRun]:
    """Open a run with what `lorapod.toml` says.

    Raises:
        typer.BadParameter: the file cannot be read, or an option inside the run is wrong.
    """
    path = project_path()
    screen = Screen(as_json=as_json, context=context)
    try:
        project = read_project(path)
        if not path.parent.is_dir():
            raise WrongOption("LORAPOD_FILE", f"the folder of {path} does not exist.")
        yield DeployRun(context=context, screen=screen, path=path, project=project, yes=yes, dry_run=dry_run)
    except ProjectFileDamaged as error:
        raise typer.BadParameter(str(error), param_hint=str(path)) from None
    except WrongOption as error:
        raise typer.BadParameter(str(error), param_hint=error.option) from None
    except OSError as error:
        reason = f"{path} cannot be written: {error.strerror}."
        hint = "What was made stays: the next `lorapod deploy` with the same --name finds it."
        screen.error(LorapodError(reason, hint=hint))
        raise typer.Exit(ExitCode.FAILED) from None


def deploy_endpoint(run: DeployRun, options: DeployOptions) -> None:
    """Show the plan, ask, and do it."""
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


def destroy_endpoints(run: DeployRun) -> None:
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


def _answer(run: DeployRun, answer: dict[str, object]) -> None:
    if run.screen.as_json:
        run.screen.answer(answer)
