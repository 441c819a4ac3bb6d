"""The grid of a comparison on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lorapod.client.client import Client


def save_grid(client: Client, process: Mapping[str, Any], to: Path) -> Path | None:
    """Download the grid of a comparison to the file `to`; return None if it has none.

    Raises:
        TransferFailed: it could not be downloaded.
        LocalFileError: it cannot be written.
    """
    path = process.get("grid_path")
    return None if path is None else client.download(path, to)
