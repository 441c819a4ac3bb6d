"""Several images at a time: halved when memory runs out, one by one when the model fails on some."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.datasets.library_bench import picture

from lorapod.captioners.prompts import CaptionStyle
from lorapod.captioners.transformers.child.batches import BatchSize, CaptionBatches, OpenedItem
from lorapod.captioners.transformers.messages import Caption, Captioned, Done, NotCaptioned, Pictures
from lorapod.processes.resident.messages import Cancelled, Message


class Model:
    """What the child asks: it remembers how many at a time, and fails as told."""

    def __init__(self, fail: Callable[[list[str]], None] = lambda _: None) -> None:
        self.sizes: list[int] = []
        self._fail = fail

    def __call__(self, batch: list[OpenedItem]) -> list[str]:
        names = [opened.item.name for opened in batch]
        self.sizes.append(len(names))
        self._fail(names)
        return [f"text of {name}" for name in names]


def more_than(limit: int) -> Callable[[list[str]], None]:
    def fail(names: list[str]) -> None:
        if len(names) > limit:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")

    return fail


def run(
    folder: Path, model: Model, count: int, size: BatchSize, cancelled: Callable[[], bool] = lambda: False
) -> tuple[list[Message], Message]:
    items = []
    for number in range(count):
        path = folder / f"{number}.png"
        if not path.exists():
            path.write_bytes(picture(size=(8, 8)))
        items.append(Pictures(name=path.name, paths=(path,), prompt=""))
    sent: list[Message] = []
    request = Caption(
        job="j", items=tuple(items), style=CaptionStyle.SHORT, own_prompt=False, max_new_tokens=4
    )
    last = CaptionBatches(
        request=request, ask=model, size=size, send=sent.append, cancelled=cancelled, tidy=lambda: None
    ).run()
    return sent, last


def captioned(sent: list[Message]) -> list[str]:
    return [message.name for message in sent if isinstance(message, Captioned)]


def test_memory_that_runs_out_halves_the_batch_and_loses_no_image(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, size = Model(more_than(2)), BatchSize(8)
    sent, last = run(tmp_path, model, 10, size)
    assert captioned(sent) == [f"{number}.png" for number in range(10)]
    assert len(sent) == 10
    assert model.sizes == [8, 4, 2, 2, 2, 2, 2]
    assert isinstance(last, Done)
    assert "there is not enough memory for 8 images" in capsys.readouterr().out
    # It is remembered as long as the model is loaded.
    again = Model(more_than(2))
    run(tmp_path, again, 3, size)
    assert again.sizes == [2, 1]


def test_an_image_that_does_not_fit_alone_is_named(tmp_path: Path) -> None:
    def fail(names: list[str]) -> None:
        if "1.png" in names:
            raise MemoryError

    sent, last = run(tmp_path, Model(fail), 3, BatchSize(2))
    assert captioned(sent) == ["0.png", "2.png"]
    (failed,) = [message for message in sent if isinstance(message, NotCaptioned)]
    assert failed.name == "1.png"
    assert failed.by_model
    assert failed.error.startswith("There is not enough memory for this image alone")
    assert isinstance(last, Done)


def test_the_image_that_the_model_fails_on_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(names: list[str]) -> None:
        if "2.png" in names:
            raise ValueError("the ratio of its sides is too odd")

    model = Model(fail)
    sent, _ = run(tmp_path, model, 8, BatchSize(4))
    assert sorted(captioned(sent)) == [f"{number}.png" for number in range(8) if number != 2]
    (failed,) = [message for message in sent if isinstance(message, NotCaptioned)]
    assert failed.error == "The model failed on it: the ratio of its sides is too odd."
    assert model.sizes == [4, 1, 1, 1, 1, 4]
    assert "ValueError" in capsys.readouterr().err


def test_a_broken_gpu_ends_it(tmp_path: Path) -> None:
    def fail(_names: list[str]) -> None:
        raise RuntimeError("CUDA error: device-side assert triggered")

    with pytest.raises(RuntimeError):
        run(tmp_path, Model(fail), 3, BatchSize(2))


def test_files_that_are_no_images_hold_up_no_other(tmp_path: Path) -> None:
    (tmp_path / "0.png").write_bytes(b"no image")
    (tmp_path / "2.png").write_bytes(picture(size=(640, 640))[:300])
    model = Model()
    sent, _ = run(tmp_path, model, 4, BatchSize(2))
    assert captioned(sent) == ["1.png", "3.png"]
    failed = [message for message in sent if isinstance(message, NotCaptioned)]
    assert [one.name for one in failed] == ["0.png", "2.png"]
    assert not any(one.by_model for one in failed)
    assert model.sizes == [2]


def test_what_was_cut_off_by_a_cancel_is_no_caption(tmp_path: Path) -> None:
    model = Model()
    sent, last = run(tmp_path, model, 4, BatchSize(1), cancelled=lambda: len(model.sizes) >= 2)
    assert captioned(sent) == ["0.png"]
    assert isinstance(last, Cancelled)
