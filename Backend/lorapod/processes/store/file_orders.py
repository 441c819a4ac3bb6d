"""Orders as files in the folder of the process that they are about."""

from __future__ import annotations

from pathlib import Path

from lorapod.atomic import write_atomically

ORDER_NAME = "order.json"


class FileOrders:
    """An `OrderStore` below the folder of the processes."""

    def __init__(self, folder: Path) -> None:
        """Keep orders below `folder`."""
        self._folder = folder

    def keep(self, process_id: str, order: bytes) -> None:
        """Keep what the process is asked to be, beside its record.

        Raises:
            OSError: the disk is full or not writable.
        """
        write_atomically(self._folder / process_id / ORDER_NAME, order)

    def read(self, process_id: str) -> bytes | None:
        """What it was asked to be."""
        try:
            return (self._folder / process_id / ORDER_NAME).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
