"""Where workers keep the thumbnails of datasets, by content.

```
training_data/.thumbnails/<dataset>/index.json        by name: size, time of change, content key, traits
training_data/.thumbnails/<dataset>/<key>_<px>.webp   thumbnails
```
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from pydantic import BaseModel, TypeAdapter, ValidationError

from lorapod.dataset_reader.item import FoundFile
from lorapod.volume.port import VolumeFiles

#: Below `training_data`; hidden, so that it is no dataset.
FOLDER: Final = ".thumbnails"

INDEX: Final = "index.json"

#: Over S3, a time of change may be of seconds.
_SAME_NS: Final = 1_000_000_000


class KeptImage(BaseModel):
    """What finds the thumbnail of an image, if it is still the same; workers note more of it."""

    size_bytes: int
    mtime_ns: int
    key: str

    def is_still(self, file: FoundFile) -> bool:
        """Return whether the image has not changed since."""
        return self.size_bytes == file.size_bytes and abs(self.mtime_ns - file.mtime_ns) < _SAME_NS


_ADAPTER = TypeAdapter(dict[str, KeptImage])


def thumbnail_name(key: str, px: int) -> str:
    """Return the name of a thumbnail's file."""
    return f"{key}_{px}.webp"


def kept_thumbnails(
    files: VolumeFiles, folder: Path, images: Sequence[FoundFile], px: int
) -> Mapping[str, Path]:
    """Return where the thumbnails of those images lie that a worker has looked at, by the images' names.

    Args:
        files: reads the volume.
        folder: that of the dataset's thumbnails.
        images: as they are now.
        px: side of the thumbnails.
    """
    try:
        known = _ADAPTER.validate_json(files.read(folder / INDEX).data)
    except (FileNotFoundError, ValidationError):
        return {}
    there = {entry.name for entry in files.entries(folder)}
    found = {
        image.name: thumbnail_name(kept.key, px)
        for image in images
        if (kept := known.get(image.name)) is not None and kept.is_still(image)
    }
    return {name: folder / file for name, file in found.items() if file in there}
