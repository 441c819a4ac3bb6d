"""The default image has what every command needs that README and the tutorial show."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from tests.acceptance.test_packaging import closure, pins

from lorapod.captioners.transformers import adapter as captioner
from lorapod.client.cli import COMMANDS
from lorapod.client.commands import models
from lorapod.engines.diffusers import adapter as engine
from lorapod.lora_tools import task as lora_tools

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
PAGES = ("README.md", "docs/tutorial/first-lora.md")

GENERATES = frozenset(engine._LIBRARIES)
CAPTIONS = frozenset(captioner._LIBRARIES)
TRAINS = frozenset({"AI Toolkit"})
LIGHT: frozenset[str] = frozenset()
#: What the worker needs for each command, beside its own requirements; a command that a page shows must be here.
NEEDS: Mapping[str, frozenset[str]] = {
    "caption": CAPTIONS,
    "compare": GENERATES,
    "generate": GENERATES,
    "train": TRAINS,
    "run": TRAINS | GENERATES | CAPTIONS,
    "sample": TRAINS,
    "save": TRAINS,
    "resume": TRAINS,
    **dict.fromkeys(
        (
            "upload",
            "download",
            "status",
            "processes",
            "logs",
            "cancel",
            "console",
            "cost",
            "health",
            "watch",
            "doctor",
            "deploy",
            "ping",
            "report",
            "endpoint",
            "mcp",
        ),
        LIGHT,
    ),
}
#: By the actions that README's table names; all others need nothing more.
ACTIONS: Mapping[str, frozenset[str]] = {
    "generate": GENERATES,
    "compare": GENERATES,
    "caption_dataset": CAPTIONS,
    **dict.fromkeys(("merge_loras", "resize_lora", "convert_lora"), frozenset(lora_tools._LIBRARIES)),
    "train": TRAINS,
}


def shown() -> Iterator[tuple[str, str]]:
    """Every command of a page, as `lorapod COMMAND`, by page."""
    for page in PAGES:
        text = (ROOT / page).read_text("utf-8")
        for command in sorted(
            set(re.findall(r"(?:^|[`/ ])lorapod ([a-z][a-z-]+)\b(?=[ `\n])", text, re.MULTILINE))
        ):
            yield page, command


def stage(name: str) -> tuple[str, str]:
    """The stage below a stage of the Dockerfile, and the stage's own lines."""
    found = re.search(rf"^FROM (\S+) AS {name}\n(.*?)(?=^FROM |\Z)", DOCKERFILE, re.MULTILINE | re.DOTALL)
    assert found is not None, name
    return found[1], found[2]


def extras(name: str) -> frozenset[str]:
    """The extras of the package that a target of the Dockerfile installs, by its defaults."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        below, lines = stage(waiting.pop())
        for default in re.findall(r"^ARG (?:TORCH_)?EXTRAS=(\S*)$", lines, re.MULTILINE):
            found |= {extra for extra in default.split(",") if extra}
        waiting += re.findall(r"^COPY --from=(\S+) /opt/lorapod /opt/lorapod$", lines, re.MULTILINE)
        if not below.startswith("$"):
            waiting.append(below)
    return frozenset(found)


def provided(name: str) -> set[str]:
    """What a target has of what commands need."""
    toolkit = {"AI Toolkit"} if "--from=ai-toolkit" in stage(name)[1] else set()
    return {*closure(extras(name)), *toolkit}


def test_the_pages_show_commands_that_exist() -> None:
    known = {function.__name__ for commands in COMMANDS.values() for function in commands}
    known |= {models.app.info.name or "models"}
    found = {command.replace("-", "_") for _, command in shown()}
    assert {"train", "generate", "compare", "upload"} <= found
    assert found <= known


@pytest.mark.parametrize(("page", "command"), list(shown()))
def test_the_default_image_serves_every_command_that_a_page_shows(page: str, command: str) -> None:
    default = re.findall(r"^FROM \S+ AS (\S+)$", DOCKERFILE, re.MULTILINE)[-1]
    assert command in NEEDS, f"{page} shows `lorapod {command}`: say here what the worker needs for it"
    missing = {
        need for need in NEEDS[command] if need.lower() not in {name.lower() for name in provided(default)}
    }
    assert missing == set(), f"the target {default} does not serve `lorapod {command}`, which {page} shows"


def test_the_lock_pins_what_the_default_image_adds() -> None:
    locked = set(pins())
    assert {name.lower() for name in GENERATES | CAPTIONS} <= locked


def test_the_light_image_stays_light() -> None:
    assert "builtin" not in extras("light")
    assert "builtin" in extras("full")
