"""What all commands share: the endpoint's URL and key, the screen, and the exit code of an error."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum
from typing import Annotated

import typer

from lorapod.client.calls import runpod_url
from lorapod.client.client import Client
from lorapod.client.commands.known_names import complete_process, remember
from lorapod.client.commands.screen import Screen
from lorapod.client.commands.wording import for_a_person
from lorapod.client.errors import (
    EndpointError,
    InvalidInputError,
    JobNotFound,
    LorapodError,
    ProcessEnded,
    Unauthorized,
    VolumeNotNamed,
    WorkerNeeded,
)
from lorapod.client.project_file import project_path, read_project
from lorapod.client.retrying import OnRetry, RetryPolicy

#: `--front-door-endpoint none` sends everything to the endpoint itself.
NO_FRONT_DOOR = "none"

_CHECK_KEY = "Check RUNPOD_API_KEY, or --api-key: the key must be one of the account that has the endpoint."

#: Shorter than a program's: a person waits at the command line.
RETRIES = RetryPolicy(patience_s=15.0)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object, for scripts.")]
ProcessIdArgument = Annotated[
    str,
    typer.Argument(
        metavar="PROCESS_ID",
        help="Id of a process; `lorapod processes` lists them.",
        autocompletion=complete_process,
    ),
]


class Via(StrEnum):
    """How a command reaches what lies on the volume."""

    #: From the volume if its keys are there and it can answer, else through the queue.
    AUTO = "auto"
    QUEUE = "queue"
    VOLUME = "volume"


ViaOption = Annotated[
    Via,
    typer.Option(
        "--via",
        envvar="LORAPOD_VIA",
        help="auto: read the volume over S3 if its keys are set, which wakes no worker, otherwise ask a worker; volume: never ask "
        "a worker; queue: always ask one.",
    ),
]


class ExitCode(IntEnum):
    """The exit codes of commands; scripts rely on them."""

    DONE = 0
    #: The worker answered with an error, or the work failed here.
    FAILED = 1
    #: The command line, or the request in it, is wrong.
    USAGE = 2
    #: The process failed, was cancelled or was interrupted.
    PROCESS_ENDED = 3
    #: The endpoint cannot be reached, or does not take the key.
    ENDPOINT = 4
    #: Ctrl-C.
    INTERRUPTED = 130


@dataclass(frozen=True, kw_only=True)
class Connection:
    """URL or id of the endpoint, and its key."""

    url: str | None = None
    endpoint_id: str | None = None
    #: URL or id of its front door; `none`: use none, whatever `lorapod.toml` has.
    front_door: str | None = None
    api_key: str | None = None
    #: Called before a request is sent again.
    on_retry: OnRetry | None = None

    def client(self, retries: RetryPolicy = RETRIES) -> Client:
        """Return a client of the endpoint.

        Raises:
            typer.BadParameter: no option or variable names the endpoint, or its URL is wrong.
        """
        try:
            door = self.front_door_url()
            if (url := self.endpoint_url()) is not None:
                return Client(url, self.api_key, front_door=door, retries=self._telling(retries))
            endpoint_id = self.named_endpoint()
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--url") from None
        if endpoint_id is not None:
            raise typer.BadParameter(
                f"there is no key for the endpoint {endpoint_id}: set RUNPOD_API_KEY.", param_hint="--api-key"
            )
        raise typer.BadParameter(
            "no endpoint is named. Set RUNPOD_ENDPOINT_ID and RUNPOD_API_KEY, or LORAPOD_URL "
            "(for a local endpoint, http://127.0.0.1:8080/v2/local), or make one with `lorapod deploy`",
            param_hint="--url",
        )

    def reading_client(self, via: Via, on_way: Callable[[str], None]) -> Client:
        """Return a client for what can be read from the volume too; `on_way` is called with the way that it took.

        Raises:
            typer.BadParameter: the endpoint or the volume has to be named and is not.
        """
        if via is Via.QUEUE:
            return self.client()
        # Half of a command's start, which other commands need not wait for.
        from lorapod.client.volume import Volume, VolumeAccess
        from lorapod.client.volume_client import VolumeClient

        try:
            project = read_project(project_path())
            access = VolumeAccess.read(os.environ, project)
        except VolumeNotNamed as error:
            if via is Via.VOLUME:
                raise typer.BadParameter(str(error), param_hint="--via") from None
            return self.client()
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="lorapod.toml") from None
        return VolumeClient(
            Volume(access),
            self.endpoint_url(),
            self.api_key,
            front_door=self.front_door_url(),
            retries=self._telling(RETRIES),
            only=via is Via.VOLUME,
            on_way=on_way,
        )

    def endpoint_url(self) -> str | None:
        """Return the URL of the endpoint if it is named, and its key is there where it needs one.

        Raises:
            ValueError: `lorapod.toml` cannot be read.
        """
        if self.url is not None or self.api_key is None:
            return self.url
        endpoint_id = self.named_endpoint()
        return None if endpoint_id is None else runpod_url(endpoint_id)

    def named_endpoint(self) -> str | None:
        """Return the id of the endpoint: as named, else as `lorapod.toml` in this folder has it.

        Raises:
            ValueError: `lorapod.toml` cannot be read.
        """
        return self.endpoint_id or read_project(project_path()).endpoint

    def front_door_url(self) -> str | None:
        """Return the URL of the front door: as named, else that of the endpoint in `lorapod.toml`, if that is used.

        Raises:
            ValueError: `lorapod.toml` is needed and cannot be read.
        """
        named = self.front_door
        if named is None:
            named = None if self.url is not None else self._remembered_front_door()
        if named is None or named == NO_FRONT_DOOR:
            return None
        return named if "://" in named else runpod_url(named)

    def _telling(self, retries: RetryPolicy) -> RetryPolicy:
        return replace(retries, on_retry=self.on_retry)

    def _remembered_front_door(self) -> str | None:
        try:
            project = read_project(project_path())
        except ValueError:
            if self.endpoint_id is None:
                raise
            return None
        return project.front_door if self.endpoint_id in {None, project.endpoint} else None


@dataclass(frozen=True, kw_only=True)
class CommandSession:
    """Client and screen of one command."""

    client: Client
    screen: Screen
    #: What names kept for the shell's completion belong to.
    endpoint: str = ""

    def remember(self, kind: str, *names: str) -> None:
        """Keep names for the shell's completion."""
        remember(self.endpoint, kind, names)


@contextmanager
def open_session(context: typer.Context, *, as_json: bool, via: Via = Via.QUEUE) -> Iterator[CommandSession]:
    """Open the command's session. Print an error raised inside it and exit with its exit code.

    `via`: how to reach what lies on the volume.

    Raises:
        typer.Exit: there was an error, or Ctrl-C was pressed.
    """
    screen = Screen(as_json=as_json, context=context)
    connection: Connection = replace(context.obj, on_retry=screen.outage.retrying)
    try:
        with screen.waiting, connection.reading_client(via, lambda way: screen.note([way])) as client:
            yield CommandSession(
                client=client, screen=screen, endpoint=connection.url or connection.endpoint_id or client.url
            )
    except LorapodError as error:
        if isinstance(error, Unauthorized) and not error.hint:
            error.hint = _CHECK_KEY
        if not as_json:
            for_a_person(error, context)
        screen.error(error)
        raise typer.Exit(exit_code(error)) from None
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        reason = error.strerror or str(error)
        screen.error(LorapodError(f"{where}{reason.rstrip('.')}.", code="local_file"))
        raise typer.Exit(ExitCode.FAILED) from None
    except KeyboardInterrupt:
        sys.stderr.write(f"\n{screen.if_interrupted}\n")
        raise typer.Exit(ExitCode.INTERRUPTED) from None


def exit_code(error: LorapodError) -> ExitCode:
    """Return the exit code for this error."""
    match error:
        case InvalidInputError() | WorkerNeeded():
            return ExitCode.USAGE
        case ProcessEnded():
            return ExitCode.PROCESS_ENDED
        case JobNotFound():
            return ExitCode.FAILED
        case EndpointError():
            return ExitCode.ENDPOINT
        case _:
            return ExitCode.FAILED
