"""Print what the worker and the client ask for, a requirement a line, without the two themselves.

Run as `python scripts/requirements.py EXTRA,EXTRA`. An image installs these in a layer below the sources, which then
change without it.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def requirements(extras: list[str]) -> list[str]:
    """Return the requirements of the worker with these extras, and those of the client.

    Raises:
        KeyError: the worker has no such extra.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    client = tomllib.loads((ROOT / "client" / "pyproject.toml").read_text("utf-8"))["project"]
    return [
        *project["dependencies"],
        *client["dependencies"],
        *(line for extra in extras for line in project["optional-dependencies"][extra]),
    ]


if __name__ == "__main__":
    named = sys.argv[1] if len(sys.argv) > 1 else ""
    sys.stdout.writelines(
        f"{line}\n" for line in requirements([extra for extra in named.split(",") if extra])
    )
