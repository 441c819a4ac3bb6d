"""`publish_model` against a stand-in of the Hub: the file, the samples, the card, and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.servers.hub import TOKEN, HubStandIn, Repo, running_hub
from tests.unit.actions.desk import Desk
from tests.unit.models.model_files import WHOLE, put_model

# huggingface_hub calls its own HTTP library in a way that this calls old.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

LORA = "models/loras/cat.safetensors"


@dataclass(frozen=True, kw_only=True)
class Publishing:
    """A worker beside a Hub."""

    desk: Desk
    hub: HubStandIn

    def publish(self, model: str = LORA, *, repo_id: str = "me/cat", **fields: Any) -> dict[str, Any]:
        return self.desk.ask(type="publish_model", model=model, huggingface={"repo_id": repo_id}, **fields)


@pytest.fixture(scope="module")
def publishing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Publishing]:
    with running_hub() as hub, asyncio.Runner() as runner:
        desk = Desk(
            tmp_path_factory.mktemp("publishing"),
            runner,
            hf_endpoint=hub.url,
            hf_token=TOKEN,
            store_patience_s=0.1,
        )
        put_model(desk.root / LORA, trigger_word="ohwx")
        yield Publishing(desk=desk, hub=hub)
        desk.worker.close()


@pytest.fixture(autouse=True)
def empty_hub(publishing: Publishing) -> None:
    publishing.hub.repos.clear()
    publishing.hub.read_only = False


def trained(desk: Desk) -> Path:
    """Train; give the training samples of two steps, and return its weights."""
    pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
    files = [{"filename": "a.png", "content": pixel}]
    desk.ask(type="upload_training_data", training_name="pictures", files=files)
    dataset = {"training_name": "pictures"}
    ended = desk.ask(type="train", preset="sd15", name="cat", dataset=dataset, wait=True)
    (weights,) = (desk.root / "output" / ended["process_id"]).rglob("*.safetensors")
    put_model(weights)
    for step in (0, 1):
        for index in range(2):
            sample = weights.parent / "samples" / f"1700000000000__{step:09}_{index}.png"
            sample.parent.mkdir(exist_ok=True)
            sample.write_bytes(bytes(step + 1))
    return Path(weights)


def test_a_lora_gets_a_repository_with_its_card(publishing: Publishing) -> None:
    publishing.desk.ask(type="edit_model", model=LORA, title="My cat", base_model="owner/base")
    answer = publishing.publish()

    assert answer == {
        "repo_id": "me/cat",
        "url": f"{publishing.hub.url}/me/cat",
        "file": "cat.safetensors",
        "size_bytes": (publishing.desk.root / LORA).stat().st_size,
        "samples": [],
        "card": True,
        "dry_run": False,
    }
    repo = publishing.hub.repos["me/cat"]
    assert repo.private
    assert repo.files("main")["cat.safetensors"] == (publishing.desk.root / LORA).read_bytes()
    card = repo.files("main")["README.md"].decode()
    for text in (
        "# My cat",
        "base_model: owner/base",
        "instance_prompt: ohwx",
        "weight_name='cat.safetensors'",
    ):
        assert text in card


def test_the_samples_of_its_training_go_with_it(publishing: Publishing) -> None:
    weights = trained(publishing.desk)
    model = str(weights.relative_to(publishing.desk.root))
    planned = publishing.publish(model, dry_run=True)
    assert publishing.hub.repos == {}
    answer = publishing.publish(model, name="cat-v1")

    assert planned["samples"] == answer["samples"]
    assert [name.rpartition("__")[2] for name in answer["samples"]] == ["000000001_0.png", "000000001_1.png"]
    files = publishing.hub.repos["me/cat"].files("main")
    assert {"cat-v1.safetensors", "README.md", *answer["samples"]} <= files.keys()
    assert answer["samples"][0] in files["README.md"].decode()
    assert publishing.publish(model, repo_id="me/plain", samples=False)["samples"] == []


def test_a_card_that_a_person_has_edited_stays(publishing: Publishing) -> None:
    publishing.hub.repos["me/cat"] = Repo(private=True, commits=[{"README.md": b"mine"}])

    assert publishing.publish()["card"] is False
    assert publishing.hub.repos["me/cat"].files("main")["README.md"] == b"mine"


def test_a_whole_model_gets_no_card_of_a_lora(publishing: Publishing) -> None:
    path = "models/checkpoints/base.safetensors"
    put_model(publishing.desk.root / path, WHOLE)

    assert publishing.publish(path)["card"] is False
    assert "README.md" not in publishing.hub.repos["me/cat"].files("main")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"model": "models/loras/none.safetensors"}, "not_found"),
        ({"model": "../../etc/passwd"}, "unsafe_path"),
        ({"model": "models/loras/half.safetensors"}, "conflict"),
        ({"model": "models/diffusers/tiny"}, "invalid_input"),
        ({"name": "../x"}, "invalid_input"),
        ({"repo_id": "not a repo"}, "invalid_input"),
    ],
)
def test_what_is_refused_reaches_no_hub(publishing: Publishing, fields: dict[str, Any], code: str) -> None:
    root = publishing.desk.root
    put_model(root / "models/loras/half.safetensors", data=bytes(3))
    (root / "models/diffusers/tiny").mkdir(parents=True, exist_ok=True)
    (root / "models/diffusers/tiny/model_index.json").write_text("{}")
    publishing.hub.requests.clear()

    assert publishing.publish(**fields)["code"] == code
    assert publishing.hub.requests == []


def test_a_token_without_the_right_is_said_and_never_shown(publishing: Publishing) -> None:
    publishing.hub.read_only = True
    answer = publishing.publish()

    assert answer["code"] in {"upstream_error", "invalid_input", "unsupported"}
    assert TOKEN not in str(answer)
