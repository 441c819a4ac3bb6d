"""Record the command line in a terminal: `python scripts/terminal_recording.py docs/pictures [--steps 160]`.

It starts a worker behind a local endpoint, runs the commands of `COMMANDS` in a terminal, and writes `terminal.cast`, which
asciinema plays, and `terminal.svg`, which is drawn from it. It takes two minutes.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import split

from lorapod.client.demo_recipe import tiny_recipe
from lorapod.client.demo_run import HANDLER
from lorapod.client.serving import serving
from lorapod.endpoint import EndpointConfig
from recording_parts.cast import Cast
from recording_parts.picture import picture
from recording_parts.session import RecordedSession

NAME = "terminal"
TITLE = "lorapod in a terminal: from a folder of images to a LoRA"
STEPS = 160
#: What suits the small base model.
_SMALL = "--resolution 64 --learning-rate 0.003"
#: What a person types; {steps} and {process} are filled in.
COMMANDS = (
    f"lorapod run pictures --trigger mimo --preset sd15 --model models/demo_base {_SMALL} --steps {{steps}}",
    'lorapod generate "a photo of a mimo at night" --lora {process}',
)
_PROCESS = re.compile(r"train_[0-9a-f]{12}")


def record(folder: Path, *, steps: int) -> Cast:
    """Run the commands in `folder`, and return what a terminal shows.

    Raises:
        CommandFailed: a command ended with an error.
    """
    recipe = tiny_recipe(
        folder, model=None, arch="sd1", dataset=None, trainer="builtin", steps=steps, resolution=None
    )
    recipe.prepare()
    recipe.pictures.rename(folder / "pictures")
    config = EndpointConfig(
        command=[sys.executable, str(HANDLER)],
        environment={"WORKSPACE_PATH": str(folder / "workspace"), **recipe.environment},
        log_folder=folder / "logs",
    )
    with serving(config) as endpoint:
        session = RecordedSession(folder=folder, environment=_environment(endpoint.url, folder))
        process = ""
        for command in COMMANDS:
            shown = command.format(steps=steps, process=process)
            text = session.run(shown, _argv(shown))
            process = process or next(iter(_PROCESS.findall(text)), "")
    return session.cast(TITLE)


def write(cast: Cast, folder: Path) -> None:
    """Write the recording and its picture."""
    cast.write(folder / f"{NAME}.cast")
    (folder / f"{NAME}.svg").write_text(picture(cast), "utf-8")


def _argv(command: str) -> Sequence[str]:
    first, *rest = split(command)
    return [str(Path(sys.executable).with_name(first)), *rest]


def _environment(url: str, home: Path) -> Mapping[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "LORAPOD_URL": url,
        "TERM": "xterm-256color",
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        # `run` opens its report with it.
        "BROWSER": "true",
    }


def main(arguments: Sequence[str]) -> int:
    """Record, and write what was recorded."""
    parser = argparse.ArgumentParser(
        prog="python scripts/terminal_recording.py", description="Record the command line in a terminal."
    )
    parser.add_argument("folder", type=Path, help="where the recording and its picture go")
    parser.add_argument("--steps", type=int, default=STEPS, help="steps of the training")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="loras-") as scratch:
        cast = record(Path(scratch), steps=options.steps)
    write(cast, options.folder)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
