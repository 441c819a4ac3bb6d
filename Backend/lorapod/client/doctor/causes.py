"""Known causes of workers that do not start, by the lines of their logs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

#: Shapes of keys and tokens, and passwords in URLs.
_SECRETS = re.compile(
    r"\b(?:hf|rpa|rps|ghp|gho|sk|xoxb|AKIA)[_-]?[A-Za-z0-9_-]{12,}|(?<=://)[^/@\s:]+:[^/@\s]+(?=@)|(?<=[Bb]earer )\S+"
)
#: A log line is cut here.
_SHOWN_CHARACTERS = 300


@dataclass(frozen=True, kw_only=True)
class Cause:
    """Why a worker does not start; `mend` is the command or the step."""

    message: str
    mend: str


_NOT_PULLED = (
    r"manifest unknown|manifest for \S+ not found|pull access denied|repository does not exist|invalid reference format|"
    r"unauthorized: authentication required|denied: requested access"
)

_KNOWN: Sequence[tuple[str, str, str]] = (
    (
        r"unsatisfied condition: cuda|CUDA driver version is insufficient|NVIDIA driver on your system is too old",
        "The host's NVIDIA driver is too old for the image",
        "lorapod doctor --fix",
    ),
    (
        r"toomanyrequests|pull rate limit",
        "The registry limits how often the image may be pulled",
        "Add the registry's login in RunPod's console (Settings, Container Registry Auth)",
    ),
    (
        _NOT_PULLED,
        "The image cannot be pulled: its name is wrong, it was not pushed, or it is private",
        "lorapod deploy --image NAME; for a private image, add its registry's login in RunPod's console",
    ),
    (
        r"exec format error",
        "The image was built for another kind of processor",
        "docker build --platform linux/amd64 …, push it, then lorapod deploy --image NAME",
    ),
    (
        r"no network volume is attached|the volume \S+ does not exist",
        "The worker has no network volume",
        "lorapod deploy",
    ),
    (
        r"No space left on device|no space left on device",
        "A disk is full: the volume, or the container's own",
        "lorapod du shows the volume; lorapod rm deletes what is not needed",
    ),
    (
        r"is not writable: check the volume|Read-only file system",
        "The worker may not write to the volume",
        "Look at the volume in RunPod's console (Storage)",
    ),
    (
        r"GatedRepoError|Cannot access gated repo|Access to model \S+ is restricted",
        "The base model is gated, and the worker's token may not read it",
        "Accept the model's terms on its page at huggingface.co, then lorapod deploy --secret HF_TOKEN",
    ),
    (
        r"OOMKilled|Out of memory: Killed process|exit(?:ed with)? code 137",
        "The container used more memory than the machine has",
        "lorapod deploy --gpu-memory GB chooses larger machines",
    ),
    (
        r"no kernel image is available for execution|CUDA error: unknown error|GPU has fallen off the bus",
        "The GPU of this machine cannot be used",
        "RunPod replaces the worker; if it happens again, lorapod deploy --data-center ID",
    ),
)

_COMPILED = tuple(
    (re.compile(pattern), Cause(message=message, mend=mend)) for pattern, message, mend in _KNOWN
)

#: What the machine logs each time that it starts the container.
_START = re.compile(r"\bstart(?:ing)? container\b", re.IGNORECASE)
_STARTS_OF_A_LOOP = 3


def known_cause(lines: Iterable[str]) -> tuple[Cause, str] | None:
    """Return the cause that the newest telling line shows, with that line."""
    for line in reversed(list(lines)):
        for pattern, cause in _COMPILED:
            if pattern.search(line):
                return cause, line
    return None


def starts_again_and_again(lines: Iterable[str]) -> bool:
    """Return whether the container was started several times in these lines."""
    return sum(_START.search(line) is not None for line in lines) >= _STARTS_OF_A_LOOP


def fit_to_show(line: str, secrets: Iterable[str]) -> str:
    """Return a line of a log without secrets, and not too long."""
    for secret in secrets:
        line = line.replace(secret, "***")
    line = _SECRETS.sub("***", line.strip())
    return line if len(line) <= _SHOWN_CHARACTERS else f"{line[: _SHOWN_CHARACTERS - 3]}..."
