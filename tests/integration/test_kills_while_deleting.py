"""Workers killed at random while they delete: each deletion is whole or not at all, and nothing else ever goes."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from lorapod.deletion import trash as trash_module
from lorapod.deletion.retention import LOG_NAME
from lorapod.deletion.trash import Trash
from lorapod.processes.store.file import FileRecords
from lorapod.records.status import ProcessStatus
from lorapod.testing.records import make_record
from lorapod.workspace import Workspace

#: Kills of one run of the suite.
KILLS = 4

#: Deletes until it is killed: whole processes, checkpoints beside those that are kept, datasets, and by rule. It prints what
#: it will delete before it begins, a line of paths each.
DELETES = """
import sys
from pathlib import Path
from lorapod.clock import SystemClock
from lorapod.deletion.plan import DeletionPlan
from lorapod.deletion.retention import Retention
from lorapod.deletion.trash import Trash
from lorapod.processes.changes import ChangeQueue
from lorapod.processes.registry import ProcessRegistry
from lorapod.processes.store.file import FileRecords
from lorapod.setting_groups.retention import RetentionSettings
from lorapod.workspace import Workspace

root, rng_seed = Path(sys.argv[1]), int(sys.argv[2])
workspace = Workspace(root=root)
records = FileRecords(workspace.processes)
trash = Trash(workspace, records)

def tell(paths):
    print(*[workspace.relative(path) for path in paths], flush=True)

class Planner:
    def of_process(self, process_id, keep=None):
        record = records.load(process_id)
        folder = workspace.output_folder(process_id)
        found = sorted((folder / "m").glob("*.safetensors"))
        if keep is None:
            paths = [folder, workspace.log_path(process_id), workspace.process_folder(process_id)]
        else:
            paths = [path for path in found if path not in found[-keep.last :]]
        tell(paths)
        return DeletionPlan(paths=paths, size_bytes=0, process=record, forgets=keep is None)
    def check_unused(self, plan):
        pass

planner = Planner()
trash.sweep()
print("begun", flush=True)
retention = Retention(
    RetentionSettings(retention=sys.argv[3]).retention, workspace=workspace, clock=SystemClock(),
    processes=ProcessRegistry(records, ChangeQueue(lambda _: None)), planner=planner, trash=trash,
)
retention.sweep()
for folder in sorted(workspace.training_data.glob("[!.]*")):
    tell([folder])
    trash.discard([folder])
print("done", flush=True)
"""


class DeletionBench:
    """A workspace with processes and datasets, and a person who counts its files."""

    def __init__(self, root: Path) -> None:
        self.workspace = Workspace.create(root)
        self.records = FileRecords(self.workspace.processes)

    def fill(self, round_: int) -> None:
        """Add processes of four files and datasets of three."""
        for number in range(12):
            process_id = f"train_{round_ * 1000 + number:012x}"
            self.records.create(
                make_record(process_id=process_id, status=ProcessStatus.COMPLETED, name="m", folder="m")
            )
            folder = self.workspace.output_folder(process_id) / "m"
            folder.mkdir(parents=True)
            for step in range(3):
                (folder / f"m_{step:09}.safetensors").write_bytes(b"x")
            self.workspace.log_path(process_id).write_text("log")
            dataset = self.workspace.training_data / f"{round_}-{number}"
            dataset.mkdir()
            for name in ("1.png", "1.txt", "2.png"):
                (dataset / name).write_bytes(b"x")

    @property
    def files(self) -> set[str]:
        """Everything but what the worker keeps for itself."""
        root = self.workspace.root
        found = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
        return {
            name
            for name in found - {f"logs/{LOG_NAME}"}
            if not any(part.startswith(".") for part in name.split("/"))
        }

    def kill_once(self, seed: int, rules: str, after_s: float) -> set[tuple[str, ...]]:
        """Let a worker delete, and kill it; return what it has announced, deletion by deletion."""
        root = str(self.workspace.root)
        child = subprocess.Popen(
            [sys.executable, "-c", DELETES, root, str(seed), rules], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        assert child.stdout.readline() == "begun\n"
        time.sleep(after_s)
        child.send_signal(signal.SIGKILL)
        told = child.stdout.read().splitlines()
        child.wait()
        child.stdout.close()
        return {tuple(line.split(" ")) for line in told if line not in {"", "done"}}

    def recover(self) -> None:
        """Do what the next worker does when it starts, and wait until it is done."""
        Trash(self.workspace, self.records).sweep()
        trash_module._REMOVALS.submit(lambda: None).result(20)


def kill_and_look(root: Path, *, kills: int, seed: int) -> int:
    """Kill workers while they delete; check what is left each time. Return how many were killed before they were done."""
    bench = DeletionBench(root)
    rng = random.Random(seed)
    unfinished = 0
    for kill in range(kills):
        bench.fill(kill)
        before = bench.files
        rules = rng.choice(["trainings:last:2", "checkpoints:1h", "checkpoints:1h, trainings:last:3"])
        announced = bench.kill_once(seed + kill, rules, rng.uniform(0.0, 0.08))
        bench.recover()
        left = bench.files
        gone = before - left
        assert left <= before
        for deletion in announced:
            of_it = {name for name in before if any((name + "/").startswith(f"{path}/") for path in deletion)}
            # What a later rule deletes of the same process is another deletion.
            others = {name for other in announced - {deletion} for name in other}
            rest = {name for name in of_it if not any((name + "/").startswith(f"{path}/") for path in others)}
            assert rest <= gone or not rest & gone, (kill, deletion, rest & gone, rest - gone)
            unfinished += bool(rest) and not rest & gone
            gone -= of_it
        assert not gone, (kill, gone)
        assert not list((bench.workspace.root / ".trash").glob("*"))
        for process_id in bench.records.ids():
            assert bench.records.load(process_id) is not None, (kill, process_id)
            assert bench.workspace.log_path(process_id).exists()
    return unfinished


def test_a_killed_deletion_is_whole_or_not_at_all(tmp_path: Path) -> None:
    kill_and_look(tmp_path / "workspace", kills=KILLS, seed=16)
