"""What the commands share that talk to RunPod's management API: the key, and errors as exit codes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from lorapod.client.commands.screen import Screen
from lorapod.client.commands.session import Connection, ExitCode
from lorapod.client.errors import LorapodError
from lorapod.platform.client import RunpodPlatform
from lorapod.platform.errors import PlatformError
from lorapod.platform.transport import PlatformRetries

#: Shorter than a program's: a person waits.
_RETRIES = PlatformRetries(attempts=4, longest_wait_s=20.0)


@contextmanager
def open_platform(context: typer.Context, screen: Screen) -> Iterator[RunpodPlatform]:
    """Open the API with the key of the environment or of `--api-key`. Print an error inside and exit with 1.

    Raises:
        typer.Exit: there was an error.
        typer.BadParameter: `RUNPOD_REST_URL` is wrong.
    """
    try:
        with platform_of(context) as platform:
            yield platform
    except PlatformError as error:
        screen.error(as_lorapod_error(error))
        raise typer.Exit(ExitCode.FAILED) from None
    except LorapodError as error:
        screen.error(error)
        raise typer.Exit(ExitCode.FAILED) from None


def platform_of(context: typer.Context) -> RunpodPlatform:
    """Return the API.

    Raises:
        KeyRefused: there is no key, or it cannot be one.
        typer.BadParameter: `RUNPOD_REST_URL` is wrong.
    """
    try:
        return RunpodPlatform(key_of(context), retries=_RETRIES)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="RUNPOD_REST_URL") from None


def key_of(context: typer.Context) -> str:
    """Return the key of RunPod; empty if there is none."""
    connection: Connection = context.obj
    return connection.api_key or ""


def as_lorapod_error(error: PlatformError) -> LorapodError:
    """Return the error in the form that the screen prints."""
    details = [{"error": problem} for problem in error.problems]
    return LorapodError(error.message, hint=error.hint, details=details)
