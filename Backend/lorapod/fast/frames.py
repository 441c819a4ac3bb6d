"""The messages between the entry and the real worker: JSON objects, each preceded by its length.

```
entry -> worker   {"job": 1, "event": {…}}   {"cancel": 1}   {"close": true}
worker -> entry   {"ready": true}   {"job": 1, "update": {…}}   {"job": 1, "answer": {…}}
```
"""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Mapping
from typing import Any

_LENGTH = struct.Struct(">Q")


def frame(message: Mapping[str, Any]) -> bytes:
    """Encode a message."""
    text = json.dumps(message).encode()
    return _LENGTH.pack(len(text)) + text


async def read_frame(reader: asyncio.StreamReader) -> dict[str, Any] | None:
    """Return the next message, or None if the other side has closed the connection."""
    try:
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        message: dict[str, Any] = json.loads(await reader.readexactly(length))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    return message
