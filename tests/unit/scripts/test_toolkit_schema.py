"""The reader of AI Toolkit's sources, on a few lines that have every form that it reads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from toolkit_facts.checkout import Checkout
from toolkit_facts.forms import Key
from toolkit_facts.keys import KeyReader
from toolkit_facts.literals import Literals
from toolkit_schema import FILE

ROOT = os.environ.get("AI_TOOLKIT_PATH", "")

CLASSES = """
Colour = Literal["red", "blue"]

class InnerConfig:
    def __init__(self, **kwargs):
        self.depth: int = kwargs.get("depth", 3)

class OuterConfig:
    def __init__(self, **kwargs):
        self.size: int = kwargs.get("size", 512)
        self.rate = kwargs.get("rate", 1e-4)
        self.second_rate = kwargs.get("second_rate", self.rate)
        self.colour: Colour = kwargs.get("colour", "red")
        self.maybe: Optional[str] = kwargs.get("maybe", None)
        self.on = kwargs.get("on", True)
        self.weight: float = float(kwargs.get("weight", 1.0))
        self.names: List[str] = kwargs.get("names", [])
        if isinstance(self.names, str):
            self.names = [self.names]
        inner = kwargs.get("inner", None)
        if inner is not None:
            self.inner = InnerConfig(**inner)
        self.many = [InnerConfig(**item) for item in kwargs.get("many", [])]
        self.computed = max(kwargs.get("computed", 4), 8)
"""


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, Key]:
    (tmp_path / "toolkit").mkdir()
    (tmp_path / "toolkit" / "config_modules.py").write_text(CLASSES)
    (tmp_path / "toolkit" / "broken.py").write_text("this is no Python\\n")
    return KeyReader(Checkout(tmp_path)).of_class("OuterConfig")


@pytest.mark.parametrize(
    ("name", "types", "default"),
    [
        ("size", {"integer"}, 512),
        ("rate", {"number"}, 1e-4),
        ("second_rate", {"number"}, ...),
        ("colour", {"text"}, "red"),
        ("maybe", {"text", "null"}, None),
        ("on", {"boolean", "null"}, True),
        ("weight", {"number"}, 1.0),
        ("names", {"list", "text"}, []),
        ("inner", {"mapping", "null"}, None),
        ("many", {"list"}, []),
        ("computed", {"number"}, 4),
    ],
)
def test_types_and_defaults(keys: dict[str, Key], name: str, types: set[str], default: object) -> None:
    assert keys[name].types == types
    assert keys[name].default == default


def test_choices_entries_and_sections(keys: dict[str, Key]) -> None:
    assert keys["colour"].choices == ("red", "blue")
    assert keys["names"].entries == "text"
    assert (keys["inner"].section, keys["inner"].many) == ("InnerConfig", False)
    assert (keys["many"].section, keys["many"].many) == ("InnerConfig", True)


def test_literals_of_the_interface() -> None:
    source = """
    export const list: Kind[] = [
      // a comment with 'quotes
      { name: 'a', size: DEFAULT, on: true, note: (<p>it's prose, (really)</p>), 'x[0].y': [1.5, undefined] },
      { name: "b", act: (value: any) => { return [value]; }, ...spread, last: -3 },
    ].sort();
    """
    assert Literals(source, {"DEFAULT": 4}).after("export const list: Kind[] = ") == [
        {"name": "a", "size": 4, "on": True, "note": None, "x[0].y": [1.5, None]},
        {"name": "b", "act": None, "last": -3},
    ]


@pytest.mark.ai_toolkit
@pytest.mark.skipif(
    not Path(ROOT, "run.py").is_file(), reason="no AI Toolkit: set AI_TOOLKIT_PATH to a checkout"
)
def test_what_ships_is_what_the_checkout_says() -> None:
    script = FILE.parents[4] / "scripts" / "toolkit_schema.py"
    commit = json.loads(FILE.read_text(encoding="utf-8"))["commit"]
    ended = subprocess.run(
        [sys.executable, str(script), ROOT, "--check", "--commit", commit],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
