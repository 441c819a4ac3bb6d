"""Formats of images, known by their first bytes."""

from __future__ import annotations

#: The formats that trainers read, with their suffixes.
FORMAT_SUFFIXES = {
    "JPEG": (".jpg", ".jpeg"),
    "PNG": (".png",),
    "WEBP": (".webp",),
}
SUFFIXES = frozenset(suffix for suffixes in FORMAT_SUFFIXES.values() for suffix in suffixes)

#: So many first bytes tell an image's format.
HEAD_BYTES = 16
#: What `format_name` calls a file of letters.
TEXT = "text"

_OTHER_FORMATS = {
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"\0\0\1\0": "ICO",
    b"%PDF": "PDF",
    b"PK\3\4": "zip",
    b"\x1f\x8b": "gzip",
}
_BOX_FORMATS = {
    **dict.fromkeys((b"avif", b"avis"), "AVIF"),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), "HEIC"),
}


def format_name(head: bytes) -> str:
    """Return the name of a file's format by its first bytes, for sentences; empty if it is not known."""
    if (known := trained_format(head)) is not None:
        return known
    if head[4:8] == b"ftyp" and (boxed := _BOX_FORMATS.get(head[8:12])):
        return boxed
    for magic, other in _OTHER_FORMATS.items():
        if head.startswith(magic):
            return other
    if head and all(32 <= byte < 127 or byte in b"\t\r\n" for byte in head):
        return TEXT
    return ""


def trained_format(head: bytes) -> str | None:
    """Return the format if trainers read it; else None."""
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    return None
