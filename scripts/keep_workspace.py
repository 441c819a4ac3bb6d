"""Write a small workspace as this version does, for the test that later versions can read it.

Run as `python scripts/keep_workspace.py ARCHIVE.tar.gz`, or for an older version with its source tree:
`python scripts/keep_workspace.py ARCHIVE.tar.gz --tree FOLDER`. Real workers of that version train the builtin trainer's tiny
model: trainings that completed, failed, were cancelled and interrupted, by a stop and by a kill, with events and uploads that
could not be sent because the broker and the store are not there. `tests/acceptance/test_upgrade.py` reads the archives in
`tests/data/workspaces`; the tiny model is left out, because the test makes it again.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from line_worker import LineWorker, wait_for

#: Nothing listens there: what would be sent stays in the workspace.
_NOWHERE = "127.0.0.1:9"
_LEFT_OUT = ("models/tiny", "models/broken", "models/demo_base")


def environment(workspace: Path, tree: Path) -> dict[str, str]:
    """Return the settings of the workers."""
    return {
        **os.environ,
        "PYTHONPATH": str(tree / "Backend"),
        "WORKSPACE_PATH": str(workspace),
        "SCRATCH_PATH": str(workspace.parent / "scratch"),
        "RABBITMQ_URL": f"amqp://guest:guest@{_NOWHERE}/",
        "BUCKET_ENDPOINT_URL": f"http://{_NOWHERE}",
        "BUCKET_NAME": "kept",
        "BUCKET_ACCESS_KEY_ID": "key",
        "BUCKET_SECRET_ACCESS_KEY": "secret",
        "ALLOW_CPU": "true",
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "LEASE_S": "3",
        "UPLOAD_GRACE_S": "0",
        "TRAIN_WAIT": "false",
        "DISK_MIN_FREE_BYTES": "0",
        "MIN_FREE_MEMORY_BYTES": "0",
    }


def config(name: str, *, model: str = "tiny", steps: int = 4) -> dict[str, Any]:
    """Return the config of a training that takes seconds."""
    process = {
        "type": "diffusion_trainer",
        "network": {"type": "lora", "linear": 2, "linear_alpha": 2},
        "save": {"dtype": "float16", "save_every": 2, "max_step_saves_to_keep": 2},
        "datasets": [{"resolution": 64}],
        "train": {"batch_size": 1, "steps": steps, "lr": 1e-3, "gradient_checkpointing": False},
        "model": {"name_or_path": model, "arch": "sd1"},
        "sample": {
            "prompts": ["a shape"],
            "width": 64,
            "height": 64,
            "sample_steps": 1,
            "sample_every": 1000,
        },
    }
    return {"job": "extension", "config": {"name": name, "process": [process]}}


def images() -> Iterator[dict[str, str]]:
    """Yield four small images and their captions, as an upload sends them."""
    from PIL import Image

    for number, colour in enumerate(("red", "green", "blue", "white")):
        target = io.BytesIO()
        Image.new("RGB", (64, 64), colour).save(target, "PNG")
        yield {"filename": f"{number}.png", "content": base64.b64encode(target.getvalue()).decode()}
        yield {
            "filename": f"{number}.txt",
            "content": base64.b64encode(f"a {colour} square".encode()).decode(),
        }


def make_model(workspace: Path, settings: Mapping[str, str]) -> None:
    """Put the tiny model into the workspace, and a copy that does not load."""
    models = workspace / "models"
    models.mkdir(parents=True)
    argv = [sys.executable, "-m", "lorapod.trainers.builtin.tiny", str(models / "tiny"), "--fit-steps", "0"]
    subprocess.run(argv, env=dict(settings), check=True, stdout=subprocess.DEVNULL)
    shutil.copytree(models / "tiny", models / "broken")
    for weights in (models / "broken" / "unet").glob("*.safetensors"):
        weights.write_bytes(weights.read_bytes()[:-1000])


def write(workspace: Path, tree: Path) -> dict[str, str]:
    """Fill the workspace; return the ids of what is in it."""
    settings = environment(workspace, tree)
    make_model(workspace, settings)
    first = LineWorker(settings)
    first.ask("upload_training_data", training_name="squares", files=list(images()))

    def train(name: str, **changes: Any) -> str:
        answer = worker.ask(
            "train",
            config=config(name, **changes),
            dataset={"training_name": "squares"},
            trainer="builtin",
            idempotency_key=f"key-{name}",
            job_id=f"job-{name}",
            upload={"s3": {"prefix": "loras"}},
        )
        return str(answer["process_id"])

    worker = first
    ids = {"completed": train("done")}
    first.until(ids["completed"], "completed")
    ids["failed"] = train("wrong", model="broken")
    first.until(ids["failed"], "failed")
    ids["cancelled"] = train("enough", steps=100_000)
    wait_for(lambda: has_checkpoint(workspace, ids["cancelled"]), "a checkpoint of the one that is cancelled")
    first.ask("cancel", process_id=ids["cancelled"])
    first.until(ids["cancelled"], "cancelled")
    ids["generated"] = str(
        first.ask(
            "generate",
            engine="diffusers",
            model="tiny",
            prompt="a square",
            width=64,
            height=64,
            steps=1,
            wait=False,
        )["process_id"]
    )
    first.until(ids["generated"], "completed")
    compared = compare(first, ids["completed"])
    if compared is not None:
        ids["compared"] = compared
    ids["interrupted"] = train("later", steps=12)
    wait_for(lambda: has_checkpoint(workspace, ids["interrupted"]), "a checkpoint before the stop")
    first.stop()

    worker = LineWorker(settings)
    ids["killed"] = train("lost", steps=12)
    wait_for(lambda: has_checkpoint(workspace, ids["killed"]), "a checkpoint before the kill")
    worker.kill()
    return ids


def compare(worker: LineWorker, process_id: str) -> str | None:
    """Compare a training's checkpoints; return None if this version cannot."""
    if "compare" not in worker.ask("schema")["actions"]:
        return None
    started = worker.ask(
        "compare",
        process_ids=[process_id],
        prompts=["a square"],
        width=64,
        height=64,
        sample_steps=1,
        score=False,
        wait=False,
    )
    worker.until(started["process_id"], "completed")
    return str(started["process_id"])


def has_checkpoint(workspace: Path, process_id: str) -> bool:
    """Return True once the training can be resumed."""
    return any((workspace / "output" / process_id).rglob("*_00000*.safetensors"))


def pack(workspace: Path, ids: Mapping[str, str], archive: Path, version: str) -> None:
    """Write the workspace, the ids and where it was into one archive."""
    for name in _LEFT_OUT:
        shutil.rmtree(workspace / name, ignore_errors=True)
    facts = {"version": version, "root": str(workspace), "processes": dict(ids)}
    (workspace.parent / "kept.json").write_text(json.dumps(facts, indent=1), "utf-8")
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive, "w:gz") as target:
        target.add(workspace, "workspace", filter=nobodys)
        target.add(workspace.parent / "kept.json", "kept.json", filter=nobodys)


def nobodys(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Leave out whose files they were."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def main(argv: list[str]) -> None:
    """Write the archive."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("archive", type=Path)
    parser.add_argument("--tree", type=Path, default=Path(__file__).parents[1])
    chosen = parser.parse_args(argv)
    tree = chosen.tree.resolve()
    version = next(
        line.split('"')[1]
        for line in (tree / "Backend" / "lorapod" / "__init__.py").read_text("utf-8").splitlines()
        if line.startswith("__version__")
    )
    with tempfile.TemporaryDirectory(prefix="lorapod-kept-") as made:
        workspace = Path(made, "workspace")
        ids = write(workspace, tree)
        pack(workspace, ids, chosen.archive, version)
    sys.stdout.write(f"{chosen.archive}: version {version}, {chosen.archive.stat().st_size:,} bytes\n")


if __name__ == "__main__":
    main(sys.argv[1:])
