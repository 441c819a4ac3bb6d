"""The badges of README: small pictures of facts that `pyproject.toml` states."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]

_PYTHON: Final = "Programming Language :: Python :: 3."
_HEIGHT_PX: Final = 20
_LETTER_PX: Final = 6.6
_PADDING_PX: Final = 8


def badges() -> Mapping[Path, str]:
    """Return each badge as SVG, by its file."""
    stated = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    folder = ROOT / "docs/pictures/badges"
    return {folder / f"{name}.svg": badge(label, value) for name, (label, value) in facts(stated).items()}


def facts(stated: Mapping[str, Any]) -> Mapping[str, tuple[str, str]]:
    """Return label and value of each badge, as `pyproject.toml` states them."""
    project = stated["project"]
    versions = [text.removeprefix(_PYTHON) for text in project["classifiers"] if text.startswith(_PYTHON)]
    types = "mypy strict" if stated["tool"]["mypy"]["strict"] else "mypy"
    return {
        "python": ("Python", " | ".join(f"3.{version}" for version in versions)),
        "licence": ("licence", project["license"]),
        "types": ("types", types),
    }


def badge(label: str, value: str) -> str:
    """Draw a label and its value; no font is fetched, so widths are the mean of a letter's."""
    left = round(len(label) * _LETTER_PX + 2 * _PADDING_PX)
    right = round(len(value) * _LETTER_PX + 2 * _PADDING_PX)
    text = 'fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="{_HEIGHT_PX}" role="img" '
        f'aria-label="{label}: {value}">'
        f'<rect width="{left + right}" height="{_HEIGHT_PX}" rx="3" fill="#3949ab"/>'
        f'<path d="M3 0h{left - 3}v{_HEIGHT_PX}H3a3 3 0 0 1-3-3V3a3 3 0 0 1 3-3z" fill="#444"/>'
        f'<text x="{left / 2}" y="14" {text}>{label}</text>'
        f'<text x="{left + right / 2}" y="14" {text}>{value}</text></svg>\n'
    )
