"""The request for a training as YAML, read and written as the worker reads and writes a config."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from lorapod.errors import InvalidInput
from lorapod.yaml_config.text import dump_config, parse_config

_LINE: Final = re.compile(r"\bline (\d+)")


def written(request: Mapping[str, Any]) -> str:
    """Return a request as YAML; an empty one as an empty text."""
    return dump_config(request) if request else ""


def read(text: str) -> dict[str, Any]:
    """Return `request`, or `problem` with the `reason` and, if it is known, the `line`. A whole config of AI Toolkit is one, too."""
    try:
        found = parse_config(text) if text.strip() else {}
    except InvalidInput as error:
        line = _LINE.search(error.message)
        reason = error.message.removeprefix("The config is not valid YAML: ")
        return {"problem": {"reason": reason, "line": int(line[1]) if line else None}}
    config = found.get("config")
    whole = "job" in found and isinstance(config, dict) and isinstance(config.get("process"), list)
    return {"request": {"config": found} if whole else found}
