from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lorapod.engines.diffusers.messages import ANSWERS, REQUESTS, Answer, Generate, Request
from lorapod.processes.resident import channel as module
from lorapod.processes.resident.channel import Channel, ChannelClosed
from lorapod.processes.resident.messages import Cancel, ChildReady

SOON_S = 10.0


class Ends:
    def __init__(self) -> None:
        self.raw, theirs = socket.socketpair()
        self.child: Channel[Request] = Channel(theirs, REQUESTS)
        self.engine: Channel[Answer] = Channel(self.raw, ANSWERS)


@pytest.fixture
def ends() -> Iterator[Ends]:
    opened = Ends()
    yield opened
    opened.child.close()
    opened.engine.close()


def test_messages_arrive_whole_and_in_order(ends: Ends) -> None:
    ends.engine.send(Cancel(job="ä\n1"))
    ends.engine.send(Cancel(job="2"))

    assert ends.child.receive(SOON_S) == Cancel(job="ä\n1")
    assert ends.child.receive(SOON_S) == Cancel(job="2")
    assert ends.child.receive(0) is None


def test_one_in_pieces_is_waited_for(ends: Ends) -> None:
    line = Cancel(job="1").model_dump_json().encode() + b"\n"
    ends.raw.sendall(line[:7])
    assert ends.child.receive(0.01) is None
    ends.raw.sendall(line[7:])
    assert ends.child.receive(SOON_S) == Cancel(job="1")


def test_a_large_one_does_not_block_its_receiver(ends: Ends) -> None:
    request = Generate(job="1", prompt="x" * 5_000_000, seed=1, num_images=1, folder=Path("/f"))
    sender = threading.Thread(target=ends.engine.send, args=(request,))
    sender.start()
    assert ends.child.receive(SOON_S) == request
    sender.join()


@pytest.mark.parametrize(
    "line", [b"what?\n", b"[]\n", b'{"kind": "ready"}\n', b'{"kind": "cancel"}\n', b"\n"]
)
def test_what_is_no_message_ends_it(ends: Ends, line: bytes) -> None:
    ends.raw.sendall(line)
    with pytest.raises(ChannelClosed, match="not a message"):
        ends.child.receive(SOON_S)


def test_a_line_without_end_is_not_kept_forever(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MESSAGE_MAX_BYTES", 1000)
    ends.raw.sendall(b"x" * 2000)
    with pytest.raises(ChannelClosed, match="no end"):
        ends.child.receive(SOON_S)


def test_the_others_end_is_seen_after_its_last_words(ends: Ends) -> None:
    ends.child.send(ChildReady())
    ends.child.close()

    assert ends.engine.receive(SOON_S) == ChildReady()
    with pytest.raises(ChannelClosed):
        ends.engine.receive(SOON_S)
    with pytest.raises(ChannelClosed):
        ends.engine.send(Cancel(job="1"))
