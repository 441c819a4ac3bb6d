"""What the parts of the client need of it."""

from __future__ import annotations

from typing import Any, Protocol


class Caller(Protocol):
    """Asks the worker for one action."""

    def call(self, action: str, /, **fields: Any) -> dict[str, Any]:
        """The worker's answer to `{"type": action, **fields}`.

        Raises:
            LorapodError: there is none, or it is an error.
        """
