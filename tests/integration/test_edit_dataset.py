"""`edit_dataset` through a whole worker: whole or not at all, taken back, never under a training."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.datasets.library_bench import picture

from lorapod.actions.action import RunPodJob
from lorapod.datasets import exchange as exchange_module
from lorapod.datasets.edits import lock, operations, record, store
from lorapod.settings import Settings
from lorapod.testing.trainer import ScriptTrainer
from lorapod.trainers.registry import TrainerRegistry
from lorapod.worker import Worker


class EditDesk:
    """A worker with a dataset of three images, one of them without a caption."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.folder = worker.services.workspace.training_data / "cats"
        self.folder.mkdir()
        for number, caption in enumerate(("a cat", "a black cat, sitting", None)):
            (self.folder / f"{number}.png").write_bytes(picture(size=(300 + number, 300)))
            if caption is not None:
                (self.folder / f"{number}.txt").write_text(caption)

    async def edit(self, **fields: Any) -> dict[str, Any]:
        return await self.ask("edit_dataset", **{"training_name": "cats"} | fields)

    async def ask(self, type_: str, **fields: Any) -> dict[str, Any]:
        answer = await self.worker.answer(
            {"id": "j", "input": {"type": type_, **fields}}, RunPodJob(job_id="j")
        )
        assert len(json.dumps(answer)) <= 100_000
        return answer

    def files(self, name: str = "cats") -> dict[str, bytes]:
        folder = self.folder.with_name(name)
        return {
            str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()
        }

    def captions(self, name: str = "cats") -> dict[str, str]:
        return {name: data.decode() for name, data in self.files(name).items() if name.endswith(".txt")}


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[EditDesk]:
    settings = Settings(
        workspace_path=tmp_path / "workspace",
        scratch_path=tmp_path / "scratch",
        disk_min_free_bytes=0,
        max_reply_bytes=100_000,
    )
    opened = Worker.create(settings, trainers=TrainerRegistry([ScriptTrainer()]))
    opened.start()
    yield EditDesk(opened)
    await asyncio.to_thread(opened.close)


async def test_captions_change_and_are_taken_back(desk: EditDesk) -> None:
    before = desk.files()
    plan = await desk.edit(captions={"0.png": "two cats", "2.png": "new"}, dry_run=True)
    assert desk.files() == before
    assert plan["changed"] == [
        {"name": "0.png", "before": "a cat", "after": "two cats"},
        {"name": "2.png", "after": "new"},
    ]
    done = await desk.edit(captions={"0.png": "two cats", "2.png": "new"})
    assert done["changed"] == plan["changed"]
    assert desk.captions() == {"0.txt": "two cats", "1.txt": "a black cat, sitting", "2.txt": "new"}
    back = await desk.edit(undo=done["edit_id"])
    assert back["changed"][0] == {"name": "0.png", "before": "two cats", "after": "a cat"}
    assert desk.files() == before
    await desk.edit(undo=back["edit_id"])
    assert desk.captions()["2.txt"] == "new"


@pytest.mark.parametrize(
    ("operation", "captions"),
    [
        ({"op": "prepend", "text": "mycat"}, ("mycat, a cat", "mycat, a black cat, sitting", "mycat")),
        (
            {"op": "prepend", "text": "photo of "},
            ("photo of a cat", "photo of a black cat, sitting", "photo of"),
        ),
        ({"op": "append", "text": "indoors"}, ("a cat, indoors", "a black cat, sitting, indoors", "indoors")),
        (
            {"op": "append", "text": ", indoors"},
            ("a cat, indoors", "a black cat, sitting, indoors", ", indoors"),
        ),
        ({"op": "replace", "find": "cat", "text": "dog"}, ("a dog", "a black dog, sitting", None)),
        ({"op": "remove", "find": "sitting"}, ("a cat", "a black cat", None)),
        (
            {"op": "regex", "find": r"a (\w+ )?cat", "text": r"\1tiger"},
            ("tiger", "black tiger, sitting", None),
        ),
        ({"op": "prepend", "text": "x", "names": ["1.png"]}, ("a cat", "x, a black cat, sitting", None)),
        (
            {"op": "replace", "find": "cat", "text": "dog", "names": ["0.txt"]},
            ("a dog", "a black cat, sitting", None),
        ),
    ],
)
async def test_operations(
    desk: EditDesk, operation: dict[str, Any], captions: tuple[str | None, ...]
) -> None:
    answer = await desk.edit(operations=[operation])
    assert "error" not in answer, answer
    wanted = {f"{number}.txt": text for number, text in enumerate(captions) if text is not None}
    assert desk.captions() == wanted


async def test_items_go_and_move_with_their_captions(desk: EditDesk) -> None:
    before = desk.files()
    done = await desk.edit(
        delete_names=["0.png"], rename={"1.png": "sofa.png"}, operations=[{"op": "prepend", "text": "x"}]
    )
    assert (done["deleted"], done["renamed"]) == (["0.png", "0.txt"], {"1.png": "sofa.png"})
    assert sorted(desk.files()) == ["2.png", "2.txt", "sofa.png", "sofa.txt"]
    assert desk.captions() == {"2.txt": "x", "sofa.txt": "x, a black cat, sitting"}
    await desk.edit(undo=done["edit_id"])
    assert desk.files() == before


async def test_two_items_exchange_their_names(desk: EditDesk) -> None:
    before = desk.files()
    await desk.edit(rename={"0.png": "1.png", "1.png": "0.png"})
    after = desk.files()
    assert (after["0.png"], after["0.txt"]) == (before["1.png"], before["1.txt"])
    assert (after["1.png"], after["1.txt"]) == (before["0.png"], before["0.txt"])


async def test_a_copy_is_edited_and_the_original_stays(desk: EditDesk) -> None:
    before = desk.files()
    (desk.folder / ".aitk_size.json").write_text("{}")
    done = await desk.edit(captions={"0.png": "new"}, copy="cats 2")
    assert done["training_name"] == "cats 2"
    assert desk.captions("cats 2")["0.txt"] == "new"
    assert desk.files() == before | {".aitk_size.json": b"{}"}
    assert ".aitk_size.json" not in desk.files("cats 2")
    assert (await desk.edit(captions={"0.png": "new"}, copy="cats 2"))["code"] == "conflict"


async def test_a_dataset_under_a_training_is_not_edited_but_its_copy_is(desk: EditDesk) -> None:
    begun = await desk.ask("train", config={"steps": 100_000}, dataset={"training_name": "cats"}, wait=False)
    before = desk.files()
    answer = await desk.edit(captions={"0.png": "new"})
    assert (answer["code"], begun["process_id"] in answer["error"]) == ("conflict", True)
    assert desk.files() == before
    assert "error" not in await desk.edit(captions={"0.png": "new"}, copy="cats 2")
    await desk.ask("cancel", process_id=begun["process_id"], save=False)


async def test_only_the_newest_edit_is_taken_back_and_only_if_nothing_came_after(desk: EditDesk) -> None:
    first = await desk.edit(captions={"0.png": "1"})
    second = await desk.edit(captions={"1.png": "2"})
    assert (await desk.edit(undo=first["edit_id"]))["code"] == "not_found"
    (desk.folder / "3.png").write_bytes(picture(size=(400, 300)))
    (desk.folder / "1.txt").unlink()
    (desk.folder / "1.txt").write_text("somebody else's")
    answer = await desk.edit(undo=second["edit_id"])
    assert (answer["code"], "1.txt" in answer["error"]) == ("conflict", True)
    assert desk.captions()["1.txt"] == "somebody else's"


async def test_what_was_added_after_an_edit_stays_when_it_is_taken_back(desk: EditDesk) -> None:
    done = await desk.edit(delete_names=["0.png"])
    (desk.folder / "3.png").write_bytes(picture(size=(400, 300)))
    await desk.edit(undo=done["edit_id"])
    assert {"0.png", "0.txt", "3.png"} <= desk.files().keys()


async def test_caches_of_what_changes_go_and_the_others_stay(desk: EditDesk) -> None:
    for cache, name in (
        ("_latent_cache", "0_300x300_a.safetensors"),
        ("_latent_cache", "1_301x300_a.safetensors"),
        ("_t_e_cache", "0_a.safetensors"),
        ("_t_e_cache", "1_a.safetensors"),
    ):
        (desk.folder / cache).mkdir(exist_ok=True)
        (desk.folder / cache / name).write_text("x")
    await desk.edit(captions={"0.png": "new"}, delete_names=["1.png"])
    left = {name for name in desk.files() if "/" in name}
    assert left == {"_latent_cache/0_300x300_a.safetensors"}


async def test_the_same_name_is_no_change_and_the_last_edit_can_still_be_taken_back(desk: EditDesk) -> None:
    done = await desk.edit(captions={"0.png": "new"})
    answer = await desk.edit(rename={"0.png": "0.png"})
    assert (answer["renamed"], "edit_id" in answer) == ({}, False)
    assert "error" not in await desk.edit(undo=done["edit_id"])


async def test_names_as_long_as_a_file_system_takes(desk: EditDesk) -> None:
    name = "x" * 251
    answer = await desk.edit(rename={"0.png": f"{name}.png"}, captions={"0.png": "new"})
    assert "error" not in answer, answer
    assert "error" not in await desk.edit(captions={f"{name}.png": "newer"})
    assert desk.captions()[f"{name}.txt"] == "newer"


async def test_an_edit_that_changes_nothing_has_no_id(desk: EditDesk) -> None:
    answer = await desk.edit(operations=[{"op": "replace", "find": "nowhere", "text": "x"}])
    assert (answer["changed"], "edit_id" in answer) == ([], False)


@pytest.mark.parametrize(
    ("fields", "code", "words"),
    [
        ({}, "invalid_input", "give captions"),
        ({"captions": {"9.png": "x", "8.png": "y"}}, "not_found", "8.png"),
        ({"captions": {"../0.png": "x"}}, "not_found", "../0.png"),
        ({"captions": {"0.png": "a\0b"}}, "invalid_input", "NUL"),
        (
            {"captions": {"0.png": " <!DOCTYPE html><html>Log in</html>"}},
            "invalid_input",
            "web page (HTML), not a caption",
        ),
        ({"operations": [{"op": "prepend", "text": "<html>"}]}, "invalid_input", "web page"),
        ({"captions": {"0.png": "x" * 1_000_001}}, "invalid_input", "captions"),
        ({"captions": {"0.png": "é" * 600_000}}, "too_large", "0.png"),
        ({"delete_names": ["nothing.png"]}, "not_found", "nothing.png"),
        ({"rename": {"0.png": "../../x.png"}}, "invalid_input", "rename"),
        ({"rename": {"0.png": "x.jpg"}}, "invalid_input", "suffix"),
        ({"rename": {"0.png": "1.png"}}, "conflict", "1.png"),
        ({"rename": {"0.png": "x.png", "1.png": "X.png"}}, "conflict", "same name"),
        ({"rename": {"0.png": "x.png"}, "delete_names": ["0.png"]}, "invalid_input", "one edit"),
        ({"operations": [{"op": "shout"}]}, "invalid_input", "op"),
        ({"operations": [{"op": "regex", "find": "(", "text": ""}]}, "invalid_input", "regular expression"),
        ({"operations": [{"op": "regex", "find": "a", "text": r"\9"}]}, "invalid_input", "replacement"),
        ({"operations": [{"op": "replace", "find": "", "text": "x"}]}, "invalid_input", "find"),
        ({"operations": [{"op": "remove", "find": "a", "text": "x"}]}, "invalid_input", "no text"),
        ({"operations": [{"op": "prepend", "text": "x", "names": ["9.png"]}]}, "not_found", "9.png"),
        ({"undo": "edit_nothing"}, "not_found", "newest"),
        ({"undo": "../../x"}, "not_found", "newest"),
        ({"undo": "edit_1", "captions": {"0.png": "x"}}, "invalid_input", "alone"),
        ({"training_name": "dogs", "captions": {"0.png": "x"}}, "not_found", "dogs"),
        ({"training_name": "../cats", "captions": {"0.png": "x"}}, "invalid_input", "plain name"),
        ({"captions": {"0.png": "x"}, "copy": "../x"}, "invalid_input", "plain name"),
        ({"captions": {"0.png": "x"}, "copy": "cats"}, "conflict", "already"),
        ({"captions": {"0.png": "x"}, "copy": "cats", "dry_run": True}, "conflict", "already"),
        ({"captions": {"0.png": "x", "0.txt": "y"}}, "invalid_input", "twice"),
        ({"rename": {"0.png": "x.png", "0.txt": "y.png"}}, "invalid_input", "twice"),
        ({"rename": {"0.png": f"{'x' * 260}.png"}}, "invalid_input", "too long"),
        ({"operations": [{"op": "regex", "find": "(?R)", "text": ""}]}, "invalid_input", "calls itself"),
        ({"operations": [{"op": "regex", "find": "(a(?1)?)", "text": ""}]}, "invalid_input", "calls itself"),
        ({"operations": [{"op": "replace", "find": "a", "text": "a" * 9999}] * 3}, "too_large", "characters"),
        ({"operations": [{"op": "regex", "find": "a|c", "text": "a" * 9999}] * 3}, "too_large", "characters"),
        (
            {"operations": [{"op": "regex", "find": ".+", "text": r"\g<0>" * 90_000}] * 2},
            "too_large",
            "characters",
        ),
        ({"operations": [{"op": "append", "text": "x" * 1_000_000}] * 9}, "too_large", "characters"),
    ],
)
async def test_bad_input_changes_nothing(
    desk: EditDesk, fields: dict[str, Any], code: str, words: str
) -> None:
    before = desk.files()
    answer = await desk.edit(**fields)
    assert answer["code"] == code, answer
    assert words in answer["error"], answer
    assert desk.files() == before
    assert not list((desk.folder.parent).glob(".edits/cats/edit_*"))


async def test_a_catastrophic_expression_is_refused_not_waited_for(
    desk: EditDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "REGEX_S", 0.2)
    (desk.folder / "0.txt").write_text("a" * 40 + "!")
    before = desk.files()
    answer = await desk.edit(operations=[{"op": "regex", "find": "(a|aa)+$", "text": "x"}])
    assert (answer["code"], "too long" in answer["error"]) == ("invalid_input", True)
    assert desk.files() == before


async def test_many_captions_are_changed_and_the_answer_fits(desk: EditDesk) -> None:
    pixel = picture(size=(64, 64))
    for number in range(400):
        (desk.folder / f"x{number:05}.png").write_bytes(pixel)
    answer = await desk.edit(operations=[{"op": "prepend", "text": "y" * 500}])
    assert answer["changed_count"] == 403
    assert 0 < len(answer["changed"]) < 403
    assert len(desk.captions()) == 403


async def test_a_file_system_that_cannot_exchange_names_or_link_files(
    desk: EditDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(_self: Path, _target: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(record, "exchange", lambda *_: False)
    monkeypatch.setattr(Path, "hardlink_to", no_links)
    before = desk.files()
    done = await desk.edit(captions={"0.png": "new"}, delete_names=["1.png"])
    assert sorted(desk.files()) == ["0.png", "0.txt", "2.png"]
    await desk.edit(undo=done["edit_id"])
    assert desk.files() == before


async def test_a_volume_that_fails_between_the_two_renames_leaves_the_dataset(
    desk: EditDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if self.name == "staged":
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(record, "exchange", lambda *_: False)
    before = desk.files()
    with pytest.MonkeyPatch.context() as broken:
        broken.setattr(Path, "rename", fail)
        with pytest.raises(OSError, match="Input/output"):
            desk.worker.services.edits.apply(desk.folder, {"9.txt": b"new"}, seen={})
    assert desk.files() == before
    assert "error" not in await desk.edit(captions={"0.png": "new"})


async def test_a_dataset_that_is_deleted_takes_what_would_undo_its_edits_along(desk: EditDesk) -> None:
    await desk.edit(delete_names=["0.png"])
    kept = desk.folder.parent / ".edits" / "cats"
    assert list(kept.glob("edit_*"))
    await desk.ask("delete", training_name="cats")
    assert not kept.exists()


async def test_what_is_uploaded_while_an_edit_is_made_is_kept(
    desk: EditDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = exchange_module.exchange

    def upload_first(one: Path, other: Path) -> bool:
        (desk.folder / "late.txt").write_text("late")
        (desk.folder / "2.png").unlink()
        return real(one, other)

    monkeypatch.setattr(record, "exchange", upload_first)
    await desk.edit(captions={"0.png": "new"})
    assert desk.captions() == {"0.txt": "new", "1.txt": "a black cat, sitting", "late.txt": "late"}
    assert "2.png" not in desk.files()


async def test_a_caption_that_somebody_changed_meanwhile_is_not_overwritten(
    desk: EditDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    edits = desk.worker.services.edits
    apply = edits.apply

    def change_first(*arguments: Any, **named: Any) -> str:
        (desk.folder / "0.txt").write_text("somebody else's")
        return apply(*arguments, **named)

    monkeypatch.setattr(edits, "apply", change_first)
    answer = await desk.edit(captions={"0.png": "new"})
    assert (answer["code"], "0.txt" in answer["error"]) == ("conflict", True)
    assert desk.captions()["0.txt"] == "somebody else's"


async def test_two_edits_at_a_time_are_refused_and_a_dead_worker_s_lock_is_taken_over(
    desk: EditDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = desk.folder.parent / ".edits" / "cats" / ".lock"
    held.mkdir(parents=True)
    answer = await desk.edit(captions={"0.png": "new"})
    assert (answer["code"], "under way" in answer["error"]) == ("conflict", True)
    monkeypatch.setattr(lock, "ABANDONED_S", -1.0)
    assert "error" not in await desk.edit(captions={"0.png": "new"})
    assert not held.exists()


#: Edits a dataset again and again until it is killed.
EDITS = """
import sys
from pathlib import Path
from lorapod.clock import SystemClock
from lorapod.datasets.edits import lock, record, store
from lorapod.datasets.edits.edit import DatasetEdit
from lorapod.dataset_reader.entry import DatasetEntry
from lorapod.dataset_reader.reader import DatasetReader
from lorapod.workspace import Workspace
lock.ABANDONED_S = -1.0
root = Path(sys.argv[1])
if sys.argv[2] == "no exchange":
    record.exchange = lambda *_: False
workspace = Workspace(root=root)
edits = store.EditStore(workspace, SystemClock(), lambda *_: None)
folder = workspace.training_data / "cats"
edits.recover()
print("begun", flush=True)
number = 0
while True:
    reading = DatasetReader().read(DatasetEntry(folder=folder))
    seen = {f.name: f for f in [*(item.file for item in reading.items), *reading.caption_files]}
    number += 1
    plan = DatasetEdit(captions={item.name: f"{sys.argv[3]}.{number}" for item in reading.items}).plan(reading)
    edits.apply(folder, plan.files, seen=seen)
"""


@pytest.mark.parametrize("how", ["exchange", "no exchange"])
def test_kills_leave_never_half_an_edit(tmp_path: Path, how: str) -> None:
    from lorapod.clock import SystemClock
    from lorapod.workspace import Workspace

    workspace = Workspace.create(tmp_path / "workspace")
    folder = workspace.training_data / "cats"
    folder.mkdir()
    images = {f"{number}.png": picture(size=(300 + number, 300)) for number in range(20)}
    for name, data in images.items():
        (folder / name).write_bytes(data)
        (folder / name).with_suffix(".txt").write_text("first")
    rng = random.Random(7)
    for kill in range(4):
        child = subprocess.Popen(
            [sys.executable, "-c", EDITS, str(workspace.root), how, str(kill)], stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        assert child.stdout.readline() == b"begun\n"
        time.sleep(rng.uniform(0.01, 0.2))
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        (workspace.training_data / ".edits" / "cats").mkdir(exist_ok=True, parents=True)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(lock, "ABANDONED_S", -1.0)
            store.EditStore(workspace, SystemClock(), lambda *_: None).recover()
        assert {path.name: path.read_bytes() for path in folder.glob("*.png")} == images
        captions = {path.read_text() for path in folder.glob("*.txt")}
        assert len(captions) == 1, captions
        assert len(list(folder.glob("*.txt"))) == 20
        assert not list(workspace.training_data.glob(".edits/cats/*/staged"))
        assert not list(workspace.training_data.glob(".edits/cats/*/old"))


#: Makes one edit, and is killed when it has removed one image of the dataset's old folder.
KILLED_IN_REMOVAL = """
import os, signal, sys
from pathlib import Path
from lorapod.clock import SystemClock
from lorapod.datasets.edits import store
from lorapod.workspace import Workspace
workspace = Workspace(root=Path(sys.argv[1]))
def remove_one_and_die(folder, ignore_errors=False):
    for found in Path(folder).glob("2.png"):
        found.unlink()
        os.kill(os.getpid(), signal.SIGKILL)
store.shutil.rmtree = remove_one_and_die
edits = store.EditStore(workspace, SystemClock(), lambda *_: None)
edits.apply(workspace.training_data / "cats", {"9.txt": b"new"}, seen={})
"""


async def test_a_worker_killed_while_it_removes_the_old_folder_loses_no_image(
    desk: EditDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = desk.files()
    root = desk.worker.services.workspace.root
    killed = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", KILLED_IN_REMOVAL, str(root)], check=False, timeout=60
    )
    assert killed.returncode == -signal.SIGKILL
    assert desk.files() == before | {"9.txt": b"new"}
    monkeypatch.setattr(lock, "ABANDONED_S", -1.0)
    desk.worker.services.edits.recover()
    assert desk.files() == before | {"9.txt": b"new"}
    (own,) = (desk.folder.parent / ".edits" / "cats").glob("edit_*")
    assert sorted(path.name for path in own.iterdir()) == ["before", "plan.json"]
