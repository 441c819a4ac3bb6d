"""The console's own scripts and styles: read once, squeezed once, compressed once."""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import PurePosixPath
from typing import Final

from aiohttp import web

_TYPES: Final = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
#: Files of the report that the console serves too: one copy of uPlot is enough.
_OF_THE_REPORT: Final = ("uPlot.iife.min.js", "uPlot.min.css")
#: Comments that have lines of their own, and indentation: for people, and a tenth of what the browser would get.
_FOR_PEOPLE: Final = re.compile(rb"^[ \t]*(?://.*|/\*(?s:.*?)\*/[ \t]*)$|^[ \t]+", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class StaticFile:
    """One file as it is sent."""

    content_type: str
    compressed: bytes
    etag: str


@cache
def read_static_files() -> Mapping[str, StaticFile]:
    """Return the console's files by their paths below `/assets/`."""
    found: dict[str, StaticFile] = {}
    folders = [(files("lorapod.client.console") / "assets", "")]
    while folders:
        folder, prefix = folders.pop()
        for entry in folder.iterdir():
            if entry.is_dir():
                folders.append((entry, f"{prefix}{entry.name}/"))
            elif PurePosixPath(entry.name).suffix in _TYPES:
                content = entry.read_bytes()
                found[f"{prefix}{entry.name}"] = _read(
                    entry.name, content if prefix == "vendor/" else squeezed(content)
                )
    report = files("lorapod.client.report_page") / "assets"
    for name in _OF_THE_REPORT:
        found[f"vendor/{name}"] = _read(name, (report / name).read_bytes())
    return found


def squeezed(content: bytes) -> bytes:
    """Return a script or a style without its comments and its indentation; its lines stay, so that errors name them."""
    return _FOR_PEOPLE.sub(lambda found: b"\n" * found[0].count(b"\n"), content)


def _read(name: str, content: bytes) -> StaticFile:
    compressed = gzip.compress(content, mtime=0)
    return StaticFile(
        content_type=_TYPES[PurePosixPath(name).suffix],
        compressed=compressed,
        etag=f'"{hashlib.sha256(content).hexdigest()[:20]}"',
    )


class StaticFiles:
    """Serves them; a browser asks each time whether its copy is still good, so an upgrade needs no reload by hand."""

    def __init__(self) -> None:
        self._files = read_static_files()

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of the files; the page itself has another one."""
        return [web.get("/assets/{path:.*}", self._file)]

    def page(self, request: web.Request) -> web.StreamResponse:
        """Answer with the page: every address that is not a file or a part of the API leads to it."""
        return _answer(request, self._files["index.html"])

    async def _file(self, request: web.Request) -> web.StreamResponse:
        file = self._files.get(request.match_info["path"])
        if file is None:
            raise web.HTTPNotFound(text="The console has no such file.\n")
        return _answer(request, file)


def _answer(request: web.Request, file: StaticFile) -> web.StreamResponse:
    headers = {"Cache-Control": "no-cache", "ETag": file.etag}
    if request.headers.get("If-None-Match") == file.etag:
        return web.Response(status=304, headers=headers)
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        headers["Content-Encoding"] = "gzip"
        body = file.compressed
    else:
        body = gzip.decompress(file.compressed)
    return web.Response(body=body, content_type=file.content_type, charset="utf-8", headers=headers)
