"""The files that a generation starts from, each under the name that a workflow gives it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, Field

from lorapod.wire.model import WireModel

#: File systems take 255; the file gets other suffixes while it arrives.
_NAME_BYTES_MAX = 200
#: The most files in one list.
INPUTS_MAX = 32


def _file_name(name: str) -> str:
    """Refuse what is not the plain name of a file.

    Raises:
        ValueError: the reason, as a message about the field continues.
    """
    if not name.strip():
        raise ValueError("is empty")
    if "/" in name or "\\" in name:
        raise ValueError(
            f"{name[:80]!r} has a folder in it: send the file's name alone, such as {_last_part(name)[:80]!r}"
        )
    if name != name.strip() or name.startswith(".") or not name.isprintable():
        raise ValueError(f"{name[:80]!r} is not the name of a file")
    if len(name.encode(errors="replace")) > _NAME_BYTES_MAX:
        raise ValueError(f"is too long for the name of a file: {_NAME_BYTES_MAX} bytes at most")
    return name


def _last_part(name: str) -> str:
    return name.replace("\\", "/").rstrip("/").rpartition("/")[2].lstrip(".") or "input.png"


def _content(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty")
    return text


FileName = Annotated[str, AfterValidator(_file_name)]

#: How a request holds a file.
InputContent = Annotated[str, AfterValidator(_content)]

CONTENT = "base64, a data URI, an https URL, or the path of a file in the workspace"


class NamedImage(WireModel):
    """An image under the name that a workflow gives it."""

    name: FileName = Field(description="Name of a file, as a LoadImage node of the workflow has it.")
    image: InputContent = Field(description=f"Its content: {CONTENT}.")


class NamedVideo(WireModel):
    """A video under the name that a workflow gives it."""

    name: FileName = Field(description="Name of a file, as a LoadVideo node of the workflow has it.")
    video: InputContent = Field(description=f"Its content: {CONTENT}.")


class NamedAudio(WireModel):
    """A sound under the name that a workflow gives it."""

    name: FileName = Field(description="Name of a file, as a LoadAudio node of the workflow has it.")
    audio: InputContent = Field(description=f"Its content: {CONTENT}.")


def check_names(names: Iterable[str]) -> None:
    """Refuse two files of one name.

    Raises:
        ValueError: the name, as a message about the request continues.
    """
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"two files are named {name!r}: give each a different name")
        seen.add(name)
