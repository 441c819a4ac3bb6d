"""A class's name stands once in the code, so that a stranger who reads it knows which one is meant."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

BACKEND = Path(__file__).parents[2] / "Backend"


def test_no_two_classes_have_the_same_name() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path in sorted(BACKEND.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(path.relative_to(BACKEND).as_posix())
    assert places
    assert {name: found for name, found in places.items() if len(found) > 1} == {}
