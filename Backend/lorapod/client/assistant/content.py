"""An answer as an assistant reads it: text without bytes, and its images as images."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

#: Images of one answer; each costs an assistant about as much as a page of text.
IMAGES_MAX: Final = 8
#: Larger images are left out: assistants refuse them.
IMAGE_MAX_BYTES: Final = 4_000_000
#: A text file that is shown.
TEXT_MAX_BYTES: Final = 64_000

#: The formats that assistants show.
IMAGE_TYPES: Final = frozenset({"image/png", "image/jpeg", "image/webp", "image/gif"})
_TEXT_TYPES: Final = ("text/", "application/json", "application/yaml", "application/x-yaml")
_DATA_URI: Final = "data:"


@dataclass(frozen=True, kw_only=True)
class ShownImage:
    """An image of an answer."""

    #: base64
    data: str
    content_type: str


@dataclass(kw_only=True)
class ShownAnswer:
    """An answer's JSON without bytes, and its images in order."""

    answer: Any = None
    images: list[ShownImage] = field(default_factory=list)

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> ShownAnswer:
        """Take the bytes out of an answer."""
        shown = cls()
        shown.answer = shown.without_bytes(answer)
        return shown

    def add(self, file: Mapping[str, Any]) -> None:
        """Add the image in an answer of `download_file`, if it is a whole image."""
        self.without_bytes(file)

    def without_bytes(self, value: Any) -> Any:
        """Return a value with its images moved to `images`, and other bytes left out."""
        match value:
            case {"data": str() as data, "content_type": str() as kind}:
                rest = {name: self.without_bytes(each) for name, each in value.items() if name != "data"}
                whole = value.get("eof", True) and not value.get("offset")
                return {**rest, **self._file(data, kind, whole=whole)}
            case Mapping():
                return {name: self.without_bytes(each) for name, each in value.items()}
            case list():
                return [self.without_bytes(each) for each in value]
            case str() if value.startswith(_DATA_URI) and ";base64," in value:
                head, _, data = value.partition(";base64,")
                return self._image(data, head.removeprefix(_DATA_URI))
            case _:
                return value

    def _file(self, data: str, kind: str, *, whole: bool) -> dict[str, str]:
        kind = kind.partition(";")[0]
        if whole and kind in IMAGE_TYPES:
            return {"data": self._image(data, kind)}
        if whole and kind.startswith(_TEXT_TYPES) and _size(data) <= TEXT_MAX_BYTES:
            return {"text": base64.b64decode(data).decode("utf-8", errors="replace")}
        return {"data": f"left out: {_size(data)} bytes; `lorapod download` saves the file"}

    def _image(self, data: str, kind: str) -> str:
        if kind not in IMAGE_TYPES or not _is_base64(data):
            return f"left out: {_size(data)} bytes of {kind}"
        if _size(data) > IMAGE_MAX_BYTES:
            return f"left out: an image of {_size(data)} bytes; `lorapod download` saves the file"
        if len(self.images) >= IMAGES_MAX:
            return f"left out: an answer shows {IMAGES_MAX} images"
        self.images.append(ShownImage(data=data, content_type=kind))
        return f"image {len(self.images)} below"


def _size(data: str) -> int:
    """Return how many bytes base64 stands for."""
    return len(data) * 3 // 4


def _is_base64(data: str) -> bool:
    try:
        base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True
