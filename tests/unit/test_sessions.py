from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lorapod.sessions import TrainingSession, begin_session, drop_session, in_session, session_outputs
from lorapod.testing.clock import FakeClock
from lorapod.workspace import Workspace

EPOCH = 1_767_225_600


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "workspace")


def test_a_session_is_named_after_the_second(workspace: Workspace) -> None:
    session = begin_session(workspace, FakeClock())
    assert (session.folder, session.id) == (f"training_session_{EPOCH}",) * 2
    assert session.dataset == f"training_session_{EPOCH}/dataset"
    assert list((workspace.root / session.folder).iterdir()) == []


def test_a_session_below_a_parent(workspace: Workspace) -> None:
    session = begin_session(workspace, FakeClock(), parent="training")
    assert (session.folder, session.id) == (
        f"training/training_session_{EPOCH}",
        f"training_session_{EPOCH}",
    )
    assert (workspace.root / session.folder).is_dir()


def test_many_in_one_second_have_a_folder_each(workspace: Workspace) -> None:
    clock = FakeClock()
    with ThreadPoolExecutor(16) as pool:
        sessions = list(pool.map(lambda _: begin_session(workspace, clock), range(40)))
    assert len({session.folder for session in sessions}) == 40
    assert {session.id for session in sessions} >= {
        f"training_session_{EPOCH}",
        f"training_session_{EPOCH}_40",
    }


def test_a_session_that_led_to_nothing_leaves_nothing(workspace: Workspace) -> None:
    session = begin_session(workspace, FakeClock())
    (workspace.root / session.folder / "config.yaml").write_text("a: 1")
    drop_session(session, workspace)
    assert not (workspace.root / session.folder).exists()
    drop_session(session, workspace)


def test_what_lies_in_a_session_is_not_thrown_away(workspace: Workspace) -> None:
    session = begin_session(workspace, FakeClock())
    (workspace.root / session.dataset).mkdir()
    drop_session(session, workspace)
    assert (workspace.root / session.dataset).is_dir()


def test_outputs_of_both_kinds_are_found(workspace: Workspace) -> None:
    made = [begin_session(workspace, FakeClock(), parent=parent) for parent in ("", "training", "")]
    for session in made[:2]:
        (workspace.root / session.folder / "output").mkdir()
    assert session_outputs(workspace) == sorted(
        workspace.root / session.folder / "output" for session in made[:2]
    )


@pytest.mark.parametrize(
    ("path", "inside"),
    [
        ("training_session_1", True),
        ("training_session_1/output/a", True),
        ("training/training_session_1/dataset", True),
        ("training", False),
        ("training_data/training_session_1", False),
        ("output", False),
        ("", False),
    ],
)
def test_whether_a_path_is_in_a_session(workspace: Workspace, path: str, *, inside: bool) -> None:
    assert in_session(workspace.root / path, workspace) is inside


def test_a_session_by_its_folder() -> None:
    assert TrainingSession(folder="training/training_session_1").id == "training_session_1"
