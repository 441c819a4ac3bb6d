"""Python source that a script writes."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

#: Stands in each file that is made.
HEADER: Final = "Made by `make docs`: change the source, not this file."


def formatted(text: str) -> str:
    """Return source as the house formats it."""
    for command in (["check", "--select", "I", "--fix-only"], ["format"]):
        text = subprocess.run(
            [
                sys.executable,
                "-m",
                "ruff",
                *command,
                "--quiet",
                "--stdin-filename",
                "Backend/lorapod/client/made.py",
                "-",
            ],
            input=text,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    return text
