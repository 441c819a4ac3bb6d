"""Messages as files in the folder of the process that they are about."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lorapod.atomic import replace_file
from lorapod.clock import Clock

CONTROL_NAME = "control"


class FileMailbox:
    """A `Mailbox` below the folder of the processes."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        """Leave messages below `folder`."""
        self._folder = folder
        self._clock = clock

    def post(self, process_id: str, message: Mapping[str, Any]) -> None:
        """Leave a message; its name sorts by time, near enough even between machines."""
        box = self._folder / process_id / CONTROL_NAME
        box.mkdir(exist_ok=True)
        replace_file(
            box / f"{self._clock.now():%Y%m%dT%H%M%S.%f}-{secrets.token_hex(4)}.json",
            json.dumps(dict(message)).encode(),
        )

    def take(self, process_id: str) -> Sequence[Mapping[str, Any]]:
        """Every message, oldest first; each is removed."""
        box = self._folder / process_id / CONTROL_NAME
        try:
            letters = sorted(path for path in box.iterdir() if path.suffix == ".json" and path.name[0] != ".")
        except FileNotFoundError:
            return ()
        taken = []
        for letter in letters:
            taken.append(json.loads(letter.read_bytes()))
            letter.unlink()
        return taken
