"""Reads `COMFYUI_NODES`: which extensions are asked for, and where each comes from."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from yarl import URL

#: Sets that have a name. The commits are the newest ones of September 2026.
NAMED_SETS: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        "video": (
            "https://github.com/city96/ComfyUI-GGUF.git@795e45156ece99afbc3efef911e63fcb46e6a20d",
            "https://github.com/Fannovel16/ComfyUI-Frame-Interpolation.git@26545cc2dd95bc3d27f056016300673bdeee78f5",
            "https://github.com/Kosinkadink/ComfyUI-VideoHelperSuite.git@4ee72c065db22c9d96c2427954dc69e7b908444b",
            "https://github.com/city96/ComfyUI_ExtraModels.git@92f556ed4d3bec1a3f16117d2de10f195c36d68e",
            "https://github.com/SeanScripts/ComfyUI-Unload-Model.git@90f6043f46b3164a35fcfeb72dae4beb4d98577a",
            "https://github.com/yolain/ComfyUI-Easy-Use.git@4de1ab3b66e48da916b6f263bacd001df53a2720",
        )
    }
)

_BETWEEN = re.compile(r"[\s,]+")
_COMMIT = re.compile(r"(?P<url>.+)@(?P<commit>[0-9a-fA-F]{40}|[0-9a-fA-F]{64})")
_REGISTERED = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]{0,99})(@(?P<version>[A-Za-z0-9][A-Za-z0-9.+-]{0,49}))?"
)
_FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
#: The name and the password of a URL: a password may hold slashes and `@`, written as they are.
_CREDENTIALS = re.compile(r"^([a-z][a-z0-9+.-]*://).*@|^[^/@]*:.*@", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Extension:
    """One extension that is asked for."""

    #: Its folder below `custom_nodes`.
    name: str
    #: Its git repository; None: it comes from the registry.
    repository: str | None = None
    commit: str | None = None
    #: Its version in the registry; None: the newest.
    version: str | None = None

    @property
    def source(self) -> str:
        """Return where it comes from, without credentials: if this changes, it is installed again."""
        if self.repository is None:
            return self.name if self.version is None else f"{self.name}@{self.version}"
        return f"{without_credentials(self.repository)}@{self.commit}"


@dataclass(frozen=True, kw_only=True)
class WantedExtensions:
    """Everything that `COMFYUI_NODES` asks for."""

    extensions: Sequence[Extension]
    #: One sentence by the entry that cannot be understood.
    refused: Mapping[str, str]


def parse_wanted(text: str) -> WantedExtensions:
    """Read a list of names of the registry, git URLs at a commit and named sets, separated by commas or spaces."""
    found: dict[str, Extension] = {}
    refused: dict[str, str] = {}
    for entry in _entries(text):
        extension = _extension(entry)
        if isinstance(extension, str):
            refused[without_credentials(entry)] = extension
        elif (other := found.setdefault(extension.name.lower(), extension)) != extension:
            refused[extension.source] = f"COMFYUI_NODES names {extension.name} twice; {other.source} is used."
    return WantedExtensions(extensions=list(found.values()), refused=refused)


def without_credentials(text: str) -> str:
    """Return a URL without the name, password and query that it may hold; anything else unchanged."""
    pinned = _COMMIT.fullmatch(text)
    url, commit = (pinned["url"], f"@{pinned['commit']}") if pinned else (text, "")
    return _CREDENTIALS.sub(r"\1", url).partition("?")[0] + commit


def _entries(text: str) -> list[str]:
    entries = [entry for entry in _BETWEEN.split(text) if entry]
    return [each for entry in entries for each in NAMED_SETS.get(entry, (entry,))]


def _extension(entry: str) -> Extension | str:
    """Return what an entry names, or one sentence that says why it names nothing."""
    shown = without_credentials(entry)
    if "://" not in entry:
        if (found := _REGISTERED.fullmatch(entry)) is None:
            return (
                f"{shown!r} in COMFYUI_NODES is neither a name of the registry (NAME or NAME@VERSION) nor a git URL "
                "(https://…@COMMIT)."
            )
        return Extension(name=found["name"], version=found["version"])
    if (found := _COMMIT.fullmatch(entry)) is None:
        return f"{shown} in COMFYUI_NODES has no commit: add @ and all 40 digits of its hash."
    try:
        name = URL(found["url"]).name.removesuffix(".git")
    except ValueError:
        return f"{shown} in COMFYUI_NODES is not a URL: write it as https://host/NAME.git@COMMIT, its password percent-encoded."
    if not _FOLDER.fullmatch(name):
        return f"{shown} in COMFYUI_NODES does not end in the name of a repository."
    return Extension(name=name, repository=found["url"], commit=found["commit"].lower())
