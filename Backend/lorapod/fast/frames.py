"""What the entry and the real worker say to each other: JSON objects, each behind its length.

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
    """A message as it travels."""
    text = json.dumps(message).encode()
    return _LENGTH.pack(len(text)) + text


async def read_frame(reader: asyncio.StreamReader) -> dict[str, Any] | None:
    """The next message; None where the other side is gone."""
    try:
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        message: dict[str, Any] = json.loads(await reader.readexactly(length))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    return message
