"""Which extensions ComfyUI could not import, from what it writes when it starts."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from pathlib import PurePath

from lorapod.engines.comfyui.extensions.place import ExtensionFailure, ExtensionHome
from lorapod.engines.comfyui.extensions.wanted import Extension

#: As ComfyUI lists the times of its imports.
_FAILED = re.compile(r"seconds \(IMPORT FAILED\): (?P<folder>.+)")
#: In the place of an environment's key.
_IMPORT = "import"


def note_imports(lines: Iterable[str], wanted: Iterable[Extension], home: ExtensionHome) -> list[str]:
    """Note the extensions that ComfyUI could not import, forget those that it could; return a sentence for each.

    Raises:
        OSError: the volume cannot be written.
    """
    broken = {
        PurePath(found["folder"].strip()).name
        for line in lines
        if (found := _FAILED.search(line)) is not None
    }
    noted, messages = home.failures(), []
    for extension in wanted:
        name = extension.name
        if name in broken:
            message = (
                f"ComfyUI could not import {name}: its log says why. Choose another commit or version of it, or add what it "
                "misses to the image."
            )
            home.note_failure(
                ExtensionFailure(
                    name=name,
                    source=extension.source,
                    message=message,
                    environment=_IMPORT,
                    failed_at=time.time(),
                )
            )
            messages.append(message)
        elif name in noted and noted[name].environment == _IMPORT:
            home.forget_failure(name)
    return messages
