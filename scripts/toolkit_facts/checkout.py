"""A checkout of AI Toolkit: its Python files as syntax trees, its version and its commit."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

#: Folders whose code decides what a config may hold.
_FOLDERS = ("toolkit", "jobs", "extensions", "extensions_built_in")

#: A template for new models, not a model that can be trained.
_TEMPLATE_FOLDER = "example_model"


class Checkout:
    """The sources of one AI Toolkit."""

    def __init__(self, root: Path) -> None:
        """Read nothing yet; `root` has its `version.py`."""
        self.root = root

    @cached_property
    def version(self) -> str:
        """Its version, e.g. `0.12.26`."""
        found = re.search(r'^VERSION\s*=\s*"([^"]+)"', self.text("version.py"), re.MULTILINE)
        if found is None:
            raise ValueError(f"{self.root / 'version.py'} names no VERSION")
        return found[1]

    def commit(self) -> str | None:
        """Return the commit that is checked out, None for sources without a history."""
        if not (self.root / ".git").exists():
            return None
        argv = ["git", "-C", str(self.root), "rev-parse", "HEAD"]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()

    def text(self, path: str) -> str:
        """Return a file's text."""
        return (self.root / path).read_text(encoding="utf-8")

    @cached_property
    def modules(self) -> tuple[ast.Module, ...]:
        """The syntax trees of all Python files that can be parsed, in the order of their paths."""
        found = []
        for path in self._python_files():
            try:
                found.append(ast.parse(path.read_text(encoding="utf-8")))
            except SyntaxError:
                continue  # prose in a string, as in the captioners' prompts
        return tuple(found)

    @cached_property
    def classes(self) -> dict[str, ast.ClassDef]:
        """All classes at the top of a module, by name; the first one counts if several have one name."""
        found: dict[str, ast.ClassDef] = {}
        for module in self.modules:
            for node in module.body:
                if isinstance(node, ast.ClassDef):
                    found.setdefault(node.name, node)
        return found

    def functions(self, name: str) -> Iterator[ast.FunctionDef]:
        """Yield every function and method with this name."""
        for module in self.modules:
            for node in ast.walk(module):
                if isinstance(node, ast.FunctionDef) and node.name == name:
                    yield node

    def bases(self, name: str) -> Iterator[ast.ClassDef]:
        """Yield the class with this name, and then the classes that it inherits from."""
        waiting, seen = [name], set()
        while waiting:
            current = waiting.pop(0)
            if current in seen or current not in self.classes:
                continue
            seen.add(current)
            node = self.classes[current]
            yield node
            waiting += [base.id for base in node.bases if isinstance(base, ast.Name)]

    def _python_files(self) -> list[Path]:
        files = [path for folder in _FOLDERS for path in (self.root / folder).rglob("*.py")]
        return sorted(path for path in files if _TEMPLATE_FOLDER not in path.parts)


def text_of(node: ast.AST | None) -> str | None:
    """Return the text of a string literal, None for any other node."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None
