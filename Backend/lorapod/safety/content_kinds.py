"""What a file is by its first bytes, for people who sent another one than they meant."""

from __future__ import annotations

import re
from pathlib import Path

_HEAD_BYTES = 1024

_MAGIC = {
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a RAR archive",
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ\0": "an xz file",
    b"\x28\xb5\x2f\xfd": "a zstd file",
    b"\x1f\x8b": "a gzip file without a tar archive in it",
    b"%PDF": "a PDF",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"version https://git-lfs": "a pointer of Git LFS, not the file itself",
}
_PAGE = re.compile(rb"\s*(?:<!doctype\s+html|<html|<head|<\?xml[^>]*>\s*<html)", re.IGNORECASE)
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

#: What to do about a web page that came where a file was expected.
PAGE_HINT = (
    "If you uploaded it, download it again from where you have it: what came was the site's page. If you gave a URL, give "
    "one that leads to the file itself and needs no login: open it in a private window, it has to download. A Dropbox "
    "link ends with dl=1."
)


def is_web_page(path: Path) -> bool:
    """Return whether the file is HTML: the page of a login, of an error, or of a file-sharing site.

    Raises:
        OSError: the file cannot be read.
    """
    return begins_a_web_page(_head(path))


def begins_a_web_page(data: bytes) -> bool:
    """Return whether UTF-8 text is HTML, by its beginning."""
    return _PAGE.match(data.removeprefix(_BYTE_ORDER_MARK)) is not None


def content_kind(path: Path) -> str | None:
    """Return what the file is, with its article, or None if it is not known.

    Raises:
        OSError: the file cannot be read.
    """
    head = _head(path)
    if is_web_page(path):
        return "a web page (HTML)"
    if head[4:8] == b"ftyp":
        return "a video or an image in an MP4 container"
    return next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), None)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD_BYTES)
