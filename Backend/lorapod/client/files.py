"""What lies on the worker's workspace."""

from __future__ import annotations

from typing import Any

from lorapod.client.caller import Caller


def list_files(caller: Caller, path: str | None, **filters: Any) -> list[dict[str, Any]]:
    """Every file below `path` (None: of the workspace), all pages of the answer.

    Raises:
        NotFoundError: there is no such folder.
    """
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        page = caller.call("list_files", path=path, cursor=cursor, **filters)
        found += page["files"]
        cursor = page.get("next_cursor")
        if cursor is None:
            return found


def sha256_of(caller: Caller, path: str) -> str:
    """The sha256 of a file of the workspace, as the worker counted it, without fetching the file.

    Raises:
        NotFoundError: there is no such file.
    """
    return str(caller.call("download_file", file_path=path, length=1)["sha256"])
