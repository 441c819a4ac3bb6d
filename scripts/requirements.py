"""Print what `pyproject.toml` asks for, a requirement a line, without the package itself.

Run as `python scripts/requirements.py EXTRA,EXTRA`. An image installs these in a layer below the sources, which then
change without it.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"


def requirements(extras: list[str]) -> list[str]:
    """The requirements of the package with these extras.

    Raises:
        KeyError: the package has no such extra.
    """
    project = tomllib.loads(PYPROJECT.read_text("utf-8"))["project"]
    return [
        *project["dependencies"],
        *(line for extra in extras for line in project["optional-dependencies"][extra]),
    ]


if __name__ == "__main__":
    named = sys.argv[1] if len(sys.argv) > 1 else ""
    sys.stdout.writelines(
        f"{line}\n" for line in requirements([extra for extra in named.split(",") if extra])
    )
