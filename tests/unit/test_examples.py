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
from tests.documented import PAGES, ROOT, Block, blocks, calls
from typer._click.exceptions import MissingParameter
from typer.core import TyperGroup

from lorapod.actions.registry import ACTIONS
from lorapod.client import Client
from lorapod.client.cli import app
from lorapod.testing.fake_queue import FakeQueue
from lorapod.wire.envelope import open_envelope
from lorapod.wire.validation import parse

PROCESS_ID = "train_0123456789ab"

#: A call of the command line in a sentence.
_SPAN = re.compile(r"`(lorapod [^`]+)`")
_INLINE = re.compile(r"`(\{\"input\": .+?\}|\{\"(?:type|action)\": .+?\})`")
#: A body in a call of curl.
_BODY = re.compile(r"(?:-d|--data(?:-raw)?) '(\{.*?\})'", re.DOTALL)


def requests() -> Iterator[Any]:
    """Everything on the pages that is a request, whole or only its input."""
    for page in PAGES:
        text = (ROOT / page).read_text("utf-8")
        found = [*_INLINE.findall(text), *_BODY.findall(text)]
        found += [
            example
            for block in blocks("json", page=page)
            # One object, or one a line.
            for example in re.split(r"\n(?=\{)", block.text.strip())
        ]
        for number, example in enumerate(found):
            # With an ellipsis it is the sketch of a form.
            if "…" not in example and re.search(r'"(type|input|action)"', example):
                yield pytest.param(example, id=f"{page}#{number}")


def commands() -> Iterator[Any]:
    """Every call of `lorapod` on the pages, in blocks and in sentences."""
    for block, words in calls():
        if " -- " not in words:
            yield pytest.param(words, "block", id=f"{block.id}-{words[:40]}")
    for page in PAGES:
        for words in _SPAN.findall((ROOT / page).read_text("utf-8")):
            if len(words.split()) > 2 and not re.search(r"(?<!_)…|COMMAND", words):
                yield pytest.param(words, "sentence", id=f"{page}-{words[:40]}")


@pytest.mark.parametrize("example", [*requests()])
def test_a_request_is_one_that_the_worker_takes(example: str) -> None:
    body = json.loads(example)
    event = body if "input" in body else {"input": body}
    if not isinstance(event["input"], dict) or not {"type", "action"} & event["input"].keys():
        return  # the form of a single-purpose handler, or an answer: their own tests have them
    call = open_envelope({"id": "1", **event})

    parse(ACTIONS[call.type].request, call.request_fields())


@pytest.mark.parametrize("block", [*blocks("python")], ids=lambda block: block.id)
def test_a_piece_of_python_is_python(block: Block) -> None:
    compile(block.text, block.id, "exec")


@pytest.mark.parametrize(("words", "place"), [*commands()])
def test_a_command_is_one_of_the_command_line(
    words: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only its words are read; what it names of this machine is made first. A sentence may name an option alone."""
    monkeypatch.chdir(tmp_path)
    arguments = shlex.split(words)[1:]
    for name in arguments:
        if not name.startswith("-") and re.fullmatch(r"[\w.-]+", name) and name not in _names():
            if "." in name:
                (tmp_path / name).touch()
            else:
                (tmp_path / name).mkdir(exist_ok=True)
    command = typer.main.get_command(app)
    while isinstance(command, TyperGroup) and arguments and not arguments[0].startswith("--install"):
        assert arguments[0] in command.commands, f"there is no command {arguments[0]}"
        command, arguments = command.commands[arguments[0]], arguments[1:]
    if "--help" in arguments:
        return
    try:
        command.make_context("lorapod", arguments)
    except MissingParameter:
        assert place == "sentence", words


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
        for block in blocks("python", page=page):
            exec(compile(block.text, block.id, "exec"), known)  # noqa: S102 - the page is the test

        asked = [dict(wish) for wish in queue.inputs]
        assert asked
        for wish in asked:
            parse(ACTIONS[wish.pop("type")].request, wish)
