"""What a person sees of a training that is waited for."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import os
import pty
import re
import subprocess
import sys
from html.parser import HTMLParser
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from PIL import Image
from rich.console import Console
from rich.live import Live

from lorapod.client import AsyncClient, Client
from lorapod.client.snapshots import SampleImage, TrainingSnapshot, sample_image
from lorapod.testing.fake_queue import FakeQueue
from lorapod.wire.process import ProcessSummary

PROCESS = "train_0123456789ab"
URL = "https://runpod.test/v2/fake"
HOSTILE = '<script>alert(1)</script> "quoted" & \u202ereversed'

#: A training of four steps, waited for in a terminal.
SCRIPT = f"""
from lorapod.client import Client
from lorapod.testing.fake_queue import FakeQueue

queue = FakeQueue()
looks = [
    {{"process_id": "{PROCESS}", "status": status, "phase": "training", "progress": progress}}
    for status, progress in (
        ("queued", {{"step": 0}}),
        ("running", {{"step": 2, "total_steps": 4, "loss": 0.25, "eta_s": 65.0}}),
        ("completed", {{"step": 4, "total_steps": 4, "loss": 0.125, "eta_s": 0.0}}),
    )
]
queue.actions["process_status"] = lambda _: looks.pop(0)
with Client("{URL}", http=queue) as client:
    print("ended", client.wait("{PROCESS}", interval_s=0.01).status)
"""


def in_terminal(columns: int) -> str:
    """Run the script in a terminal; return what a person saw, without colours."""
    outside, inside = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(columns), "LINES": "24"}
    child = subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdin=inside, stdout=inside, stderr=inside, env=environment
    )
    os.close(inside)
    seen = b""
    try:
        while piece := os.read(outside, 65_536):
            seen += piece
    except OSError:  # the terminal's other end is closed
        pass
    os.close(outside)
    assert child.wait(20) == 0, seen
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen.decode())


def test_a_terminal_has_a_bar() -> None:
    seen = in_terminal(80)
    lines = re.split(r"[\r\n]+", seen)
    assert any("2/4" in line and "loss 0.2500" in line and "1 min 05 s left" in line for line in lines), lines
    assert any(f"{PROCESS} completed" in line and "4/4" in line for line in lines), lines
    assert max(map(len, lines)) <= 80
    assert "ended completed" in seen


def test_a_pipe_has_none() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("ended completed\n", "")


def looks(queue: FakeQueue, *statuses: str, **more: Any) -> None:
    told = [
        {
            "process_id": PROCESS,
            "status": status,
            "progress": {"step": step, "total_steps": 4, "loss": 1 / step},
        }
        | more
        for step, status in enumerate(statuses, 1)
    ]
    queue.actions["process_status"] = lambda _: told.pop(0)


def test_a_bar_that_is_wanted_is_drawn_beside_a_callback(
    queue: FakeQueue, capsys: pytest.CaptureFixture[str]
) -> None:
    looks(queue, "running", "completed")
    with Client(URL, http=queue) as client:
        client.wait(PROCESS, on_progress=lambda _: None, progress_bar=True, interval_s=0.001)
        shown = capsys.readouterr()
        assert (PROCESS in shown.err, shown.out) == (True, "")
        looks(queue, "completed")
        client.wait(PROCESS, on_progress=lambda _: None)
        assert capsys.readouterr().err == ""


def test_a_program_that_draws_itself_is_not_disturbed(queue: FakeQueue) -> None:
    looks(queue, "running", "completed")
    console = Console(file=io.StringIO(), force_terminal=True)
    with Live("mine", console=console), Client(URL, http=queue) as client:
        assert client.wait(PROCESS, progress_bar=True, interval_s=0.001).status == "completed"


async def test_several_have_a_line_each(queue: FakeQueue, capsys: pytest.CaptureFixture[str]) -> None:
    ids = [f"train_{number:012x}" for number in range(3)]
    queue.actions["process_status"] = lambda wish: {
        "process_id": wish["process_id"], "status": "completed", "progress": {"step": 4, "total_steps": 4},
    }  # fmt: skip
    async with AsyncClient(URL, http=queue) as client:
        await asyncio.gather(*(client.wait(each, progress_bar=True) for each in ids))
    shown = capsys.readouterr().err
    assert all(each in shown for each in ids)


class Notebook:
    """What IPython has in a notebook."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shown: list[Any] = []
        ipython, display = ModuleType("IPython"), ModuleType("IPython.display")
        ipython.get_ipython = lambda: SimpleNamespace(kernel=object())  # type: ignore[attr-defined]
        display.display = self.display  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "IPython", ipython)
        monkeypatch.setitem(sys.modules, "IPython.display", display)

    def display(self, thing: Any, *, display_id: bool) -> Notebook:
        assert display_id
        self.shown.append(thing)
        return self

    def update(self, thing: Any) -> None:
        self.shown.append(thing)


def picture(side: int = 40) -> bytes:
    written = io.BytesIO()
    Image.new("RGB", (side, side), "teal").save(written, "PNG")
    return written.getvalue()


def serve_samples(queue: FakeQueue) -> list[dict[str, Any]]:
    data = picture()
    queue.actions["download_file"] = lambda wish: {
        "filename": "a.png", "size_bytes": len(data), "offset": 0, "length": len(data),
        "sha256": hashlib.sha256(data).hexdigest(), "data": base64.b64encode(data).decode(),
    }  # fmt: skip
    return [{"path": f"output/{step}.png", "step": step, "index": 0} for step in (2, 4)]


@pytest.mark.parametrize("face", ["sync", "async"])
async def test_a_notebook_shows_losses_and_samples(
    queue: FakeQueue, monkeypatch: pytest.MonkeyPatch, face: str
) -> None:
    notebook = Notebook(monkeypatch)
    looks(queue, "running", "completed", samples=serve_samples(queue), sample_prompts=["a cat"])
    curve = iter([[[1, 0.5], [2, 0.4]], [[3, 0.3]]])
    queue.actions["metrics"] = lambda _: {"series": {"loss/loss": next(curve)}}

    training: Any
    if face == "async":
        async with AsyncClient(URL, http=queue) as client:
            training = client.training(PROCESS)
            await training.wait(interval_s=0.001)
    else:
        with Client(URL, http=queue) as other:
            training = other.training(PROCESS)
            await asyncio.to_thread(training.wait, interval_s=0.001)

    first, last = notebook.shown
    assert (first.losses, last.losses) == (((1, 0.5), (2, 0.4)), ((1, 0.5), (2, 0.4), (3, 0.3)))
    assert [(one.step, one.prompt) for one in last.samples] == [(2, "a cat"), (4, "a cat")]
    fetched = [wish["file_path"] for wish in queue.inputs if wish["type"] == "download_file"]
    assert fetched == ["output/2.png", "output/4.png"], "each sample is fetched once"
    assert [wish.get("since_step") for wish in queue.inputs if wish["type"] == "metrics"] == [None, 2]
    assert training._repr_html_() == last._repr_html_()


def test_a_notebook_goes_on_without_what_cannot_be_read(
    queue: FakeQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = Notebook(monkeypatch)
    looks(queue, "running", "completed", samples=serve_samples(queue))
    gone = {"error": "There is no file.", "code": "not_found"}
    queue.actions |= {"metrics": lambda _: gone, "download_file": lambda _: gone}
    with Client(URL, http=queue) as client:
        assert client.wait(PROCESS, interval_s=0.001).status == "completed"
    assert (notebook.shown[-1].losses, notebook.shown[-1].samples) == ((), ())


def test_a_training_is_drawn_without_asking(queue: FakeQueue) -> None:
    with Client(URL, http=queue) as client:
        training = client.training(PROCESS)
        assert "snapshot()" in training._repr_html_()
        assert queue.requests == []
        looks(queue, "running")
        queue.actions["metrics"] = lambda _: {"series": {}}
        assert str(training.snapshot()).startswith(f"{PROCESS} running  step 1/4")
        assert PROCESS in training._repr_html_()
        looks(queue, "running", "running", "completed")
        training.wait(interval_s=0.001)
        assert "<svg" in training._repr_html_(), "its losses are known from the looks at it"


class Elements(HTMLParser):
    """What a page is made of."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def snapshot(**more: Any) -> TrainingSnapshot:
    process = {
        "process_id": PROCESS, "type": "train", "name": HOSTILE, "status": "failed", "worker_id": "w",
        "progress": {"step": 2, "total_steps": 4, "loss": 0.5}, "created_at": "2026-01-31T12:00:00Z",
        "failure": {"code": "internal", "message": HOSTILE},
    }  # fmt: skip
    samples = [
        SampleImage(
            step=2, index=0, prompt=HOSTILE, source=sample_image(picture(), step=2, index=0, prompt="").source
        )
    ]
    losses = [(step, 1 / step) for step in range(1, 5)] + [(5, float("nan"))]
    return TrainingSnapshot(
        **{"process": ProcessSummary.model_validate(process), "losses": losses, "samples": samples, **more}
    )


def test_texts_are_shown_as_they_are_and_nothing_is_loaded() -> None:
    page = Elements(snapshot()._repr_html_())
    assert page.text.count(HOSTILE) == 2
    assert {tag for tag, _ in page.tags} == {
        *("div", "b", "bdi", "code", "svg", "path", "figure", "figcaption", "img"),
    }
    for tag, attributes in page.tags:
        assert not {name for name in attributes if name.startswith("on")}
        for name in ("src", "href", "srcset", "data", "style"):
            value = attributes.get(name) or ""
            assert "http" not in value
            assert "url(" not in value
            assert name != "src" or value.startswith("data:image/webp;base64,") or tag != "img"


def test_a_snapshot_of_little_is_drawn_too() -> None:
    bare = snapshot(losses=[], samples=[SampleImage(step=1, index=0, prompt="", source=None)])
    page = Elements(bare._repr_html_())
    assert "svg" not in {tag for tag, _ in page.tags}
    assert "too large" in page.text
    assert sample_image(b"no image", step=1, index=0, prompt="").source is None


def test_without_pillow_a_small_sample_is_shown_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    small = sample_image(b"\x89PNG" + bytes(100), step=1, index=0, prompt="").source
    assert (small or "").startswith("data:image/png;base64,")
    assert sample_image(bytes(500_000), step=1, index=0, prompt="").source is None
