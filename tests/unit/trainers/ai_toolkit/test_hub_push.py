from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.servers.hub import TOKEN, HubStandIn
from tests.unit.trainers.ai_toolkit.conftest import CONFIG, PROCESS_ID

from lorapod.errors import InvalidInput
from lorapod.settings import Settings
from lorapod.trainers.ai_toolkit.adapter import AIToolkitTrainer
from lorapod.trainers.port import TrainingPlan, TrainingRequest
from lorapod.workspace import Workspace


@pytest.fixture(scope="module")
def hub() -> Iterator[HubStandIn]:
    stand_in = HubStandIn()
    with stand_in.running():
        yield stand_in


def prepared(workspace: Workspace, toolkit: Path, save: dict[str, Any], **settings: Any) -> TrainingPlan:
    trainer = AIToolkitTrainer(
        settings=Settings(ai_toolkit_path=toolkit, ai_toolkit_python=Path(sys.executable), **settings),
        workspace=workspace,
    )
    process = {**CONFIG["config"]["process"][0], "save": {"dtype": "bf16", "push_to_hub": True, **save}}
    return trainer.prepare(
        TrainingRequest(
            process_id=PROCESS_ID,
            config={"job": "extension", "config": {"name": "mine", "process": [process]}},
            dataset=workspace.training_data / "cats",
            training_folder=workspace.output_folder(PROCESS_ID),
            scratch=workspace.root.parent / "scratch",
            workspace=workspace.root,
        )
    )


def refused(workspace: Workspace, toolkit: Path, save: dict[str, Any], **settings: Any) -> dict[str, str]:
    with pytest.raises(InvalidInput) as caught:
        prepared(workspace, toolkit, save, **settings)
    return {
        detail["field"].removeprefix("config.process[0]."): detail["error"] for detail in caught.value.details
    }


MINE = {"hf_repo_id": "tester/mine"}


def test_it_is_off_by_default(workspace: Workspace, toolkit: Path) -> None:
    told = refused(workspace, toolkit, MINE, hf_token=TOKEN)
    assert "HUB_PUSH" in told["save.push_to_hub"]
    assert "upload" in told["save.push_to_hub"]


@pytest.mark.parametrize("policy", ["own", "any"])
def test_without_a_token(workspace: Workspace, toolkit: Path, policy: str) -> None:
    told = refused(workspace, toolkit, MINE, hub_push=policy)
    assert "HF_TOKEN" in told["save.push_to_hub"]


def test_without_a_connection(workspace: Workspace, toolkit: Path) -> None:
    told = refused(workspace, toolkit, MINE, hub_push="any", hf_token=TOKEN, hf_hub_offline=True)
    assert "HF_HUB_OFFLINE" in told["save.push_to_hub"]


@pytest.mark.parametrize("repo_id", [None, "", "mine", "a/b/c", "tester/m ine"])
def test_a_repository_that_is_none(workspace: Workspace, toolkit: Path, repo_id: str | None) -> None:
    told = refused(workspace, toolkit, {"hf_repo_id": repo_id}, hub_push="any", hf_token=TOKEN)
    assert "account/name" in told["save.hf_repo_id"]


def test_any_repository(workspace: Workspace, toolkit: Path) -> None:
    assert (
        prepared(workspace, toolkit, {"hf_repo_id": "other/mine"}, hub_push="any", hf_token=TOKEN).warnings
        == ()
    )


class TestOwn:
    def options(self, hub: HubStandIn, **settings: Any) -> dict[str, Any]:
        return {"hub_push": "own", "hf_token": TOKEN, "hf_endpoint": hub.url, **settings}

    def test_the_accounts_own(self, workspace: Workspace, toolkit: Path, hub: HubStandIn) -> None:
        assert prepared(workspace, toolkit, MINE, **self.options(hub)).warnings == ()

    def test_anothers(self, workspace: Workspace, toolkit: Path, hub: HubStandIn) -> None:
        told = refused(workspace, toolkit, {"hf_repo_id": "other/mine"}, **self.options(hub))
        assert "tester/" in told["save.hf_repo_id"]

    def test_a_token_that_is_none(self, workspace: Workspace, toolkit: Path, hub: HubStandIn) -> None:
        told = refused(workspace, toolkit, MINE, **self.options(hub, hf_token="hf_wrong"))
        assert "HF_TOKEN" in told["save.push_to_hub"]

    def test_a_hub_that_is_away(self, workspace: Workspace, toolkit: Path, hub: HubStandIn) -> None:
        (warning,) = prepared(
            workspace, toolkit, MINE, **self.options(hub, hf_endpoint="http://127.0.0.1:9")
        ).warnings
        assert "did not answer" in warning
