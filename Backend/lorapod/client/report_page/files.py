"""Files of the worker that the page shows, on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from lorapod.client.client import Client
from lorapod.client.errors import JobFailed

#: Files that are fetched at the same time.
_AT_ONCE = 8

#: Suffixes of what a page can show.
_SHOWN: Final = frozenset({".gif", ".jpeg", ".jpg", ".json", ".png", ".webp", ".yaml", ".yml"})


class WorkerFiles:
    """Fetches files, each once."""

    def __init__(self, client: Client, folder: Path) -> None:
        """Fetch nothing yet; files will lie in `folder`."""
        self._client = client
        self._folder = folder
        self._files: dict[str, Path | None] = {}

    def fetch(self, paths: Sequence[str]) -> None:
        """Fetch the files that are not here yet; one that the worker does not give is left out from then on.

        Raises:
            LorapodError: the worker does not answer.
        """
        missing = [path for path in dict.fromkeys(paths) if path not in self._files]
        self._folder.mkdir(parents=True, exist_ok=True)
        numbered = [(path, len(self._files) + place) for place, path in enumerate(missing)]
        with ThreadPoolExecutor(_AT_ONCE, "report") as pool:
            self._files |= dict(zip(missing, pool.map(self._fetched, numbered), strict=True))

    def get(self, path: str) -> Path | None:
        """Return where a file lies; None if it was not fetched."""
        return self._files.get(path)

    def _fetched(self, numbered: tuple[str, int]) -> Path | None:
        path, number = numbered
        if Path(path).suffix.lower() not in _SHOWN:
            return None
        try:
            return self._client.download(path, self._folder / f"{number}{Path(path).suffix.lower()}")
        except JobFailed:
            return None
