"""What an action is made of."""

from __future__ import annotations

import builtins
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count
from typing import Any, Concatenate, Generic, TypeAlias, TypeVar

from lorapod.storage.s3_access import JobS3
from lorapod.wire.model import Request, Result

RequestT = TypeVar("RequestT", bound=Request)
ResultT = TypeVar("ResultT", bound=Result)


def _no_progress(_update: Mapping[str, Any]) -> None:
    """Drop the update."""


class TimeLimit(StrEnum):
    """How long an action that only reads may take."""

    #: `READ_TIMEOUT_S`: it reads a little.
    READ = "read"
    #: `FILE_TIMEOUT_S`: it reads whole files.
    FILE = "file"


@dataclass(frozen=True, kw_only=True)
class RunPodJob:
    """The RunPod job that an action answers."""

    job_id: str
    #: Sends a progress update to the caller that polls the RunPod job; safe for any thread, never blocks.
    progress: Callable[[Mapping[str, Any]], None] = field(default=_no_progress)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1), init=False, repr=False, compare=False)
    #: The S3 server that the job brought with it, for datasets, uploads and URLs in S3.
    s3: JobS3 | None = field(default=None, repr=False)

    def show(self, view: Mapping[str, Any]) -> None:
        """Send a numbered update; of calls that follow each other, the higher number is the newer one.

        RunPod's SDK sends each in its own thread, so they can overtake each other.
        """
        self.progress({**view, "sequence": next(self._numbers)})


@dataclass(frozen=True, kw_only=True)
class Action(Generic[RequestT, ResultT]):
    """One type of request: its name, its models, and the function that answers it.

    `run` takes the request, and names as keyword parameters what it needs beside it: parts of the worker, by the names
    that `Services` gives them, the RunPod `job`, and `actions`, the table of all actions.
    """

    type: str
    summary: str
    request: builtins.type[RequestT]
    result: builtins.type[ResultT]
    run: Callable[Concatenate[RequestT, ...], Awaitable[Result]]
    #: None for an action that changes something: it ends by itself, or by the cancel of its job.
    time_limit: TimeLimit | None = None
    #: Whether it looks at datasets, so that uploads which have arrived over S3 are added to them first.
    reads_datasets: bool = False
    #: Whether it may end or overwrite what a person made; programs ask before they use it.
    destroys: bool = False
    #: What it answers instead of `result` when the request asks for it.
    other_results: tuple[builtins.type[Result], ...] = ()


#: Every action by its type.
ActionTable: TypeAlias = Mapping[str, Action[Any, Any]]
