"""Every example of the hand-written pages is one that the worker, the client or the command line takes.

Those that other tests run against a real worker are checked here all the same: the fields that they send, the options that
they name. Nothing is trained.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup

from lorapod.actions.registry import ACTIONS
from lorapod.client import Client
from lorapod.client.cli import app
from lorapod.testing.fake_queue import FakeQueue
from lorapod.wire.envelope import open_envelope
from lorapod.wire.validation import parse

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    *sorted(path for path in (ROOT / "docs").rglob("*.md") if path.parent.name != "reference"),
]
PROCESS_ID = "train_0123456789ab"

_BLOCK = re.compile(r"^```(?P<language>\w+)[^\n]*\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r"`(\{\"input\": .+?\}|\{\"(?:type|action)\": .+?\})`")
#: A body in a call of curl.
_BODY = re.compile(r"(?:-d|--data(?:-raw)?) '(\{.*?\})'", re.DOTALL)


def blocks(language: str) -> Iterator[Any]:
    """The blocks of one language on all pages."""
    for page in PAGES:
        for number, match in enumerate(_BLOCK.finditer(page.read_text("utf-8"))):
            if match["language"] in language.split():
                yield pytest.param(match["text"], id=f"{page.relative_to(ROOT)}#{number}")


def requests() -> Iterator[Any]:
    """Everything on the pages that is a request, whole or only its input."""
    for page in PAGES:
        text = page.read_text("utf-8")
        found = [*_INLINE.findall(text), *_BODY.findall(text)]
        found += [
            example
            for match in _BLOCK.finditer(text)
            if match["language"] == "json"
            # One object, or one a line.
            for example in re.split(r"\n(?=\{)", match["text"].strip())
        ]
        for number, example in enumerate(found):
            # With an ellipsis it is the sketch of a form.
            if "…" not in example and re.search(r'"(type|input|action)"', example):
                yield pytest.param(example, id=f"{page.relative_to(ROOT)}#{number}")


def commands() -> Iterator[Any]:
    """Every call of `lorapod` on the pages."""
    for block in blocks("sh"):
        (text,) = block.values
        for line in str(text).replace("\\\n", " ").splitlines():
            for part in re.split(r"&&|\||;|=\$\(", line):
                words = part.strip().rstrip(")")
                if words.startswith("lorapod ") and " -- " not in words:
                    yield pytest.param(words, id=f"{block.id}-{words[:40]}")


@pytest.mark.parametrize("example", [*requests()])
def test_a_request_is_one_that_the_worker_takes(example: str) -> None:
    body = json.loads(example)
    event = body if "input" in body else {"input": body}
    if not isinstance(event["input"], dict) or not {"type", "action"} & event["input"].keys():
        return  # the form of a single-purpose handler, or an answer: their own tests have them
    call = open_envelope({"id": "1", **event})

    parse(ACTIONS[call.type].request, call.request_fields())


@pytest.mark.parametrize("example", [*blocks("python")])
def test_a_piece_of_python_is_python(example: str) -> None:
    compile(example, "example", "exec")


@pytest.mark.parametrize("words", [*commands()])
def test_a_command_is_one_of_the_command_line(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only its words are read; what it names of this machine is made first."""
    monkeypatch.chdir(tmp_path)
    comment = re.sub(r"\s#.*", "", words)
    arguments = shlex.split(comment)[1:]
    for name in arguments:
        if not name.startswith("-") and re.fullmatch(r"[\w.-]+", name) and name not in _names():
            (tmp_path / name).mkdir(exist_ok=True)
    command = typer.main.get_command(app)
    while isinstance(command, TyperGroup) and arguments and not arguments[0].startswith("--install"):
        assert arguments[0] in command.commands, f"there is no command {arguments[0]}"
        command, arguments = command.commands[arguments[0]], arguments[1:]
    if "--help" in arguments or "COMMAND" in words:
        return

    command.make_context("lorapod", arguments)


def _names() -> set[str]:
    return {command.name or "" for command in app.registered_commands} | {"models"}


class TestTheClient:
    """The client's calls of a page, in order, against a queue in memory."""

    @pytest.fixture
    def queue(self) -> FakeQueue:
        started = {"process_id": PROCESS_ID, "status": "queued", "warnings": []}
        ended = {"process_id": PROCESS_ID, "name": "cat", "status": "completed", "progress": {"step": 1}}
        queue = FakeQueue()
        queue.actions |= {
            "train": lambda _: started,
            "resume": lambda _: started,
            "cancel": lambda _: {"process_id": PROCESS_ID, "status": "running"},
            "process_status": lambda _: ended,
        }
        queue.states = [{"status": "COMPLETED", "output": started}]
        return queue

    @pytest.mark.parametrize("page", ["docs/howto/long-trainings.md", "docs/howto/cancel-and-resume.md"])
    def test_a_page_asks_for_what_the_worker_takes(self, page: str, queue: FakeQueue) -> None:
        known: dict[str, Any] = {"client": Client("https://runpod.test/v2/fake", http=queue)}
        for match in _BLOCK.finditer((ROOT / page).read_text("utf-8")):
            if match["language"] == "python":
                exec(compile(match["text"], page, "exec"), known)  # noqa: S102 - the page is the test

        asked = [dict(wish) for wish in queue.inputs]
        assert asked
        for wish in asked:
            parse(ACTIONS[wish.pop("type")].request, wish)
