"""The source of a model, as a request names it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

from yarl import URL

from lorapod.errors import InvalidInput
from lorapod.safety.urls import check_url, shown_url

_HUB = re.compile(
    r"hf://(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<early>[\w./-]+?))?/(?P<path>[^@]+?)(?:@(?P<late>[\w./-]+))?",
    re.ASCII,
)


@dataclass(frozen=True, kw_only=True)
class HubFile:
    """A file of a repository on the HuggingFace Hub."""

    repo_id: str
    path: str
    revision: str = "main"

    @property
    def shown(self) -> str:
        """As answers and cards name it."""
        return f"hf://{self.repo_id}/{self.path}" + ("" if self.revision == "main" else f"@{self.revision}")

    @property
    def file_name(self) -> str:
        """The last part of its path."""
        return self.path.rpartition("/")[2]

    @property
    def marked(self) -> str:
        """With its revision in every case, behind the repository."""
        return f"hf://{self.repo_id}@{self.revision}/{self.path}"

    def address(self, endpoint: str, revision: str) -> str:
        """Return the URL of the file at the Hub `endpoint`, in `revision`."""
        return f"{endpoint}/{self.repo_id}/resolve/{quote(revision, safe='')}/{quote(self.path)}"


@dataclass(frozen=True, kw_only=True)
class WebFile:
    """What lies at an address."""

    address: str

    @property
    def shown(self) -> str:
        """Without credentials and signatures."""
        return shown_url(self.address)

    @property
    def file_name(self) -> str | None:
        """The last part of its path, if that looks like a file name."""
        last = unquote(URL(self.address, encoded=self.address.isascii()).raw_path, errors="replace")
        name = last.rpartition("/")[2]
        return name if "." in name else None


def parse_source(text: str, *, allow_private: bool) -> HubFile | WebFile:
    """`hf://owner/repo/file`, with `@revision` at its end or behind the repository, or an https address.

    Raises:
        InvalidInput: it is neither.
        UnsafeUrl: the URL may not be fetched.
    """
    if text.startswith("hf://"):
        match = _HUB.fullmatch(text)
        if match is None or (match["early"] and match["late"]):
            raise InvalidInput(
                "source: it is not of the form hf://owner/repository/file.",
                hint="Example: hf://stabilityai/sdxl-turbo/sd_xl_turbo_1.0.safetensors",
            )
        revision = match["early"] or match["late"] or "main"
        return HubFile(repo_id=match["repo"], path=match["path"], revision=revision)
    if "://" not in text:
        raise InvalidInput(
            "source: it is neither hf://owner/repository/file nor an https address.",
        )
    check_url(text, allow_private=allow_private)
    return WebFile(address=text)
