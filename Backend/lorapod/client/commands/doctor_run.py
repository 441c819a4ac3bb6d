"""One run of `doctor`: the diagnosis, what `--fix` changes, and how it is printed."""

from __future__ import annotations

import os
from functools import partial

import typer

from lorapod.client.client import Client
from lorapod.client.commands.platform_session import key_of, platform_of
from lorapod.client.commands.screen import Screen
from lorapod.client.commands.session import RETRIES, Connection, ExitCode
from lorapod.client.doctor.diagnosis import diagnose, diagnose_local
from lorapod.client.doctor.finding import Finding, Severity, problem
from lorapod.client.project_file import project_path, read_project
from lorapod.platform.client import RunpodPlatform
from lorapod.platform.errors import PlatformError

#: Where `lorapod endpoint` serves by default.
LOCAL_URL = "http://127.0.0.1:8080/v2/local"

_STYLES = {Severity.OK: "green", Severity.NOTE: "yellow", Severity.PROBLEM: "red"}


def look_at_this_machine(context: typer.Context, *, as_json: bool) -> None:
    """Print what is wrong with the endpoint of this machine.

    Raises:
        typer.Exit: something is.
    """
    connection: Connection = context.obj
    with Client(connection.url or LOCAL_URL, connection.api_key, retries=RETRIES) as client:
        _tell(Screen(as_json=as_json, context=context), diagnose_local(client), [])


def look_at_endpoint(
    context: typer.Context, endpoint_id: str | None, *, fix_all: bool, as_json: bool
) -> None:
    """Print what is wrong with an endpoint of RunPod, after changing what is safe to change.

    Raises:
        typer.Exit: something is wrong.
        typer.BadParameter: no endpoint is named, or `lorapod.toml` cannot be read.
    """
    screen = Screen(as_json=as_json, context=context)
    connection: Connection = context.obj
    try:
        project = read_project(project_path())
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=str(project_path())) from None
    chosen = endpoint_id or connection.endpoint_id or project.endpoint
    if chosen is None:
        raise typer.BadParameter(
            "no endpoint is named: use --endpoint ID, or `lorapod deploy` in this folder; for the endpoint of this "
            "machine, --local.",
            param_hint="--endpoint",
        )
    look = partial(
        diagnose, endpoint_id=chosen, project=project, api_key=key_of(context), environment=os.environ
    )
    fixed: list[Finding] = []
    try:
        with platform_of(context) as platform:
            found = look(platform)
            if fix_all:
                fixed, refused = _fixed(platform, chosen, found)
                found = [*look(platform), *refused] if fixed else [*found, *refused]
    except PlatformError as error:
        found = [problem("key", error.message, mend=error.hint)]
    _tell(screen, found, fixed)


def _fixed(
    platform: RunpodPlatform, endpoint_id: str, found: list[Finding]
) -> tuple[list[Finding], list[Finding]]:
    """Return what was changed, and a finding for each change that was refused."""
    fixed, refused = [], []
    for each in found:
        if each.fix is None:
            continue
        try:
            platform.update_endpoint(endpoint_id, each.fix)
            fixed.append(each)
        except PlatformError as error:
            refused.append(problem("fix", f"{each.check}: {error.message}", mend=error.hint))
    return fixed, refused


def _tell(screen: Screen, found: list[Finding], fixed: list[Finding]) -> None:
    problems = [each for each in found if each.severity is Severity.PROBLEM]
    if screen.as_json:
        screen.answer(
            {
                "status": "problem" if problems else "ok",
                "findings": [_as_json(each) for each in found],
                "fixed": [each.check for each in fixed],
            }
        )
    else:
        for each in fixed:
            screen.line(f"fixed    {each.check}: {each.message}")
        for each in found:
            _show(screen, each)
    if problems:
        raise typer.Exit(ExitCode.FAILED)


def _show(screen: Screen, finding: Finding) -> None:
    screen.marked(f"{finding.severity:<8}", _STYLES[finding.severity], f" {finding.check}: {finding.message}")
    for line in finding.lines:
        screen.line(f"         | {line}")
    if finding.mend:
        screen.line(f"         -> {finding.mend}")


def _as_json(finding: Finding) -> dict[str, object]:
    return {
        "check": finding.check,
        "severity": finding.severity.value,
        "message": finding.message,
        "mend": finding.mend,
        "lines": list(finding.lines),
        "fixable": finding.fix is not None,
    }
