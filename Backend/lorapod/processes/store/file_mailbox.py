"""Messages about processes as files: each is handed to one worker, once."""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lorapod.atomic import replace_file
from lorapod.clock import Clock

logger = logging.getLogger(__name__)

CONTROL_NAME = "control"


class FileMailbox:
    """A `Mailbox` below the folder of the processes."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        """Leave messages below `folder`."""
        self._folder = folder
        self._clock = clock

    def post(self, process_id: str, message: Mapping[str, Any]) -> None:
        """Leave a message; its name sorts by time, precisely enough even between machines."""
        box = self._folder / process_id / CONTROL_NAME
        box.mkdir(exist_ok=True)
        replace_file(
            box / f"{self._clock.now():%Y%m%dT%H%M%S.%f}-{secrets.token_hex(4)}.json",
            json.dumps(dict(message)).encode(),
        )

    def take(self, process_id: str) -> Sequence[Mapping[str, Any]]:
        """Return every message, oldest first, and remove each, even one that cannot be read."""
        box = self._folder / process_id / CONTROL_NAME
        try:
            letters = sorted(path for path in box.iterdir() if path.suffix == ".json" and path.name[0] != ".")
        except FileNotFoundError:
            return ()
        return [message for letter in letters if (message := self._open(letter)) is not None]

    @staticmethod
    def _open(letter: Path) -> Mapping[str, Any] | None:
        """Return the message in a file and remove it; None if another worker was faster, or it is damaged."""
        # Of several workers that rename the same file, one succeeds.
        mine = letter.with_name(f".{letter.name}.{secrets.token_hex(4)}")
        try:
            letter.rename(mine)
        except FileNotFoundError:
            return None
        try:
            message = json.loads(mine.read_bytes())
        except ValueError:
            message = None
        mine.unlink()
        if isinstance(message, dict):
            return message
        logger.warning("message cannot be read", extra={"path": str(letter)})
        return None
