"""The client as the type checker of a caller's program sees it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

#: A caller's program. A line with a comment `E: …` is wrong, and the checker must say so in these words.
PROGRAM = """
import asyncio
from pathlib import Path

from lorapod.client import AsyncClient, Client, LorapodError, ProcessEnded, ProcessView, Progress, TrainOptions, Training

options: TrainOptions = {"preset": "sdxl", "dataset": {"training_name": "cat"}, "steps": 1500, "optimizer": "adamw"}
mistaken: TrainOptions = {"presets": "sdxl"}  # E: Extra key "presets"


def tell(now: Progress) -> None:
    print(now.step + 1, now.loss, now.samples[0].path)
    now.losses  # E: "Progress" has no attribute "losses"


with Client("http://127.0.0.1:8080/v2/local") as client:
    training: Training = client.train(**options)
    client.train(preset="sdxl", limits={"duration_s": 3600}, sample_prompts=[])
    client.train(preset="sdxl", step=1500)  # E: Unexpected keyword argument "step"
    client.train(preset="sdxl", steps="many")  # E: incompatible type "str"; expected "int | None"
    client.train(preset="sdxl", optimizer="adamx")  # E: incompatible type "Literal['adamx']"
    client.train(preset="sdxl", dataset={"name": "cat"})  # E: expected "DatasetOptions | None"
    client.generate("a cat", loras=[{"process_id": training.process_id, "weight": 0.8}], image=Path("in.png"))
    client.generate("a cat", lora="x")  # E: Unexpected keyword argument "lora"
    client.compare("train_0123456789ab", prompts="one")  # E: incompatible type "str"; expected "list[str] | None"
    process: ProcessView = training.wait(on_progress=tell)
    process["status"]  # E: Value of type "ProcessView" is not indexable
    process.status = "done"  # E: Property "status" defined in "ProcessView" is read-only
    seconds: float | None = process.progress.eta_s
    paths: list[str] = [sample.path for sample in process.samples]
    process.sample  # E: "ProcessView" has no attribute "sample"
    lora: Path = training.download("loras/")
    resumed: Training = training.resume(steps=3000)
    training.wait(interval=3)  # E: Unexpected keyword argument "interval"


async def main() -> None:
    async with AsyncClient("http://127.0.0.1:8080/v2/local") as other:
        started = await other.train(**options)
        ended: ProcessView = await started.wait(on_progress=tell)
        other.train(**options).process_id  # E: has no attribute "process_id"
        print(ended.checkpoints[-1].size_bytes, (await other.processes())[0].name)


try:
    asyncio.run(main())
except ProcessEnded as error:
    print(error.process.reason, error.code.upper(), error.hint)
except LorapodError as error:
    print(error.message, error.retryable, error.cause)  # E: "LorapodError" has no attribute "cause"
"""


@pytest.mark.timeout(300)
def test_a_callers_program_is_checked(tmp_path: Path) -> None:
    from mypy import api

    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    wanted = {
        number: line.partition("# E: ")[2]
        for number, line in enumerate(PROGRAM.splitlines(), 1)
        if "# E: " in line
    }

    # With the project's own configuration and cache, which `make lint` has filled.
    told, trouble, _ = api.run(
        [
            "--config-file",
            str(ROOT / "pyproject.toml"),
            "--hide-error-context",
            "--python-executable",
            sys.executable,
            str(program),
        ]
    )

    assert not trouble
    found: dict[int, str] = {}
    for line in told.splitlines():
        if match := re.match(r".*program\.py:(\d+): error: (.*)", line):
            found[int(match[1])] = match[2]
    assert found.keys() == wanted.keys(), told
    for number, words in wanted.items():
        assert words in found[number], (words, found[number])
