"""The HuggingFace store, when things go wrong; against a stand-in for the calls that are made."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from aiohttp import web
from tests.servers.hub import HubStandIn, Repo, running_hub

from lorapod.errors import TooLarge
from lorapod.storage.hub_access import NoRepository
from lorapod.storage.huggingface import HubObjects, RepoKind
from lorapod.storage.port import StoredObject, StoreRefused, StoreUnavailable
from lorapod.storage.retry_budget import RetryBudget

# huggingface_hub calls its own HTTP library in a way that this calls old.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

RETRIES = RetryBudget(total_s=5, first_wait_s=0.05, longest_wait_s=0.2)
REPO = "someone/cat-lora"


@pytest.fixture
def server() -> Iterator[HubStandIn]:
    with running_hub() as server:
        yield server


@pytest.fixture
def store(server: HubStandIn) -> Iterator[HubObjects]:
    access = server.access()
    with closing(HubObjects(access, repo_id=REPO, create_private=True, retries=RETRIES)) as store:
        yield store


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.bin"
    path.write_bytes(random.Random(3).randbytes(9_000_000))
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_repository_is_made_private_and_with_the_first_file(
    server: HubStandIn, store: HubObjects, source: Path
) -> None:
    assert list(store.list_objects()) == []
    assert server.repos == {}
    store.put_file(source, "cat.safetensors")
    store.put_file(source, "samples/1.png")
    assert server.repos[REPO].private
    assert server.repos[REPO].messages == ["Upload cat.safetensors", "Upload samples/1.png"]


def test_a_file_that_is_there_already_is_no_new_commit(
    server: HubStandIn, store: HubObjects, source: Path
) -> None:
    store.put_file(source, "cat.safetensors")
    before = len(server.blobs)
    store.put_file(source, "again.safetensors")
    assert len(server.blobs) == before == 1


def test_a_broken_download_goes_on_where_it_was(
    server: HubStandIn, store: HubObjects, source: Path, tmp_path: Path
) -> None:
    store.put_file(source, "cat.safetensors")
    server.break_downloads, server.break_after = 2, 3_000_000
    store.get_file("cat.safetensors", tmp_path / "target.bin")
    assert server.ranges[0] is None
    assert all(one is not None for one in server.ranges[1:])
    assert sha256(tmp_path / "target.bin") == sha256(source)


@pytest.mark.parametrize("fault", [web.HTTPTooManyRequests, web.HTTPServiceUnavailable])
def test_it_comes_back_later_when_asked_to(
    server: HubStandIn, store: HubObjects, source: Path, tmp_path: Path, fault: type[web.HTTPException]
) -> None:
    server.faults = [fault()]
    store.put_file(source, "cat.safetensors")
    server.faults = [fault()]
    store.get_file("cat.safetensors", tmp_path / "target.bin")
    assert server.faults == []
    assert sha256(tmp_path / "target.bin") == sha256(source)


def test_a_wrong_token_is_refused(server: HubStandIn, source: Path) -> None:
    access = server.access("hf_wrong")
    with closing(HubObjects(access, repo_id=REPO, create_private=True, retries=RETRIES)) as store:
        with pytest.raises(StoreRefused) as caught:
            store.put_file(source, "cat.safetensors")
        assert "HF_TOKEN" in caught.value.hint
        assert "hf_wrong" not in f"{caught.value} {caught.value.hint}"
    assert server.repos == {}


def test_a_dataset_that_is_not_there_says_so(server: HubStandIn, tmp_path: Path) -> None:
    access = server.access()
    with closing(HubObjects(access, repo_id=REPO, kind=RepoKind.DATASET, retries=RETRIES)) as store:
        with pytest.raises(NoRepository, match=REPO):
            list(store.list_objects())
        with pytest.raises(NoRepository, match=REPO):
            store.get_file("a.png", tmp_path / "a.png")


def test_a_public_dataset_needs_no_token(server: HubStandIn, tmp_path: Path) -> None:
    server.repos[REPO] = Repo(private=False, commits=[{"1.png": b"png", "1.txt": b"a cat"}])
    access = server.access(None)
    with closing(HubObjects(access, repo_id=REPO, kind=RepoKind.DATASET, retries=RETRIES)) as store:
        assert sorted(one.key for one in store.list_objects()) == ["1.png", "1.txt"]
        store.get_file("1.txt", tmp_path / "1.txt")
    assert (tmp_path / "1.txt").read_bytes() == b"a cat"


def test_a_card_goes_up_when_the_hub_is_back(
    server: HubStandIn, store: HubObjects, source: Path, tmp_path: Path
) -> None:
    store.put_file(source, "cat.safetensors")
    card = tmp_path / "README.md"
    card.write_text("---\ntags: [lora]\n---\n# cat\n")
    server.faults = [web.HTTPBadGateway(), web.HTTPServiceUnavailable()]
    store.put_file(card, "README.md")
    assert server.repos[REPO].files("main")["README.md"] == card.read_bytes()


def test_a_card_that_the_hub_does_not_take(
    server: HubStandIn, store: HubObjects, source: Path, tmp_path: Path
) -> None:
    store.put_file(source, "cat.safetensors")
    card = tmp_path / "README.md"
    card.write_text("---\n- no\n- mapping\n---\n# cat\n")
    with pytest.raises(StoreRefused, match="metadata"):
        store.put_file(card, "README.md")
    assert "README.md" not in server.repos[REPO].files("main")


def test_the_old_file_of_the_same_size_is_no_success(
    store: HubObjects, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = StoredObject(key="a.bin", size_bytes=source.stat().st_size, sha256="0" * 64)
    monkeypatch.setattr(store, "_stat", lambda *_: old)
    with pytest.raises(StoreUnavailable, match="not what was uploaded"):
        store.put_file(source, "a.bin", sha256=sha256(source))


def test_a_hub_that_stays_away(tmp_path: Path) -> None:
    server = HubStandIn()
    with server.running():
        access = server.access()
    few_retries = RetryBudget(total_s=0.1, first_wait_s=0.05, longest_wait_s=0.05)
    # huggingface_hub itself asks again for some of its calls, for half a minute; not for this one.
    with (
        closing(HubObjects(access, repo_id=REPO, retries=few_retries)) as store,
        pytest.raises(StoreUnavailable, match="did not answer"),
    ):
        store.stat("a.bin")


def test_a_repository_that_was_renamed_is_used_under_its_old_name(
    server: HubStandIn, store: HubObjects, source: Path, tmp_path: Path
) -> None:
    server.repos["someone/dog-lora"] = Repo(private=True)
    server.renamed[REPO] = "someone/dog-lora"

    store.put_file(source, "cat.safetensors")
    store.put_file(source, "notes.txt")
    store.get_file("cat.safetensors", tmp_path / "back")
    store.delete("notes.txt")

    assert list(server.repos) == ["someone/dog-lora"]
    assert sha256(tmp_path / "back") == sha256(source)
    assert [found.key for found in store.list_objects()] == ["cat.safetensors"]
    # The token goes to the Hub under the new name, too.
    assert set(server.authorized) == {True}


def test_the_trial_of_a_renamed_repository_makes_none(server: HubStandIn, store: HubObjects) -> None:
    server.repos["someone/dog-lora"] = Repo(private=True)
    server.renamed[REPO] = "someone/dog-lora"

    store.try_upload("trial.bin", create=True)

    assert list(server.repos) == ["someone/dog-lora"]
    assert len(server.repos["someone/dog-lora"].commits) == 1


def test_a_file_that_is_too_large_for_the_hub_is_refused_at_once(
    server: HubStandIn, store: HubObjects, source: Path
) -> None:
    server.too_large = True

    with pytest.raises(TooLarge, match="does not accept a file of the size"):
        store.put_file(source, "cat.safetensors")

    assert server.preuploads == 1


def test_a_full_repository_says_what_to_do(server: HubStandIn, store: HubObjects, source: Path) -> None:
    server.full = True

    with pytest.raises(StoreRefused, match="storage limit of its owner is reached") as caught:
        store.put_file(source, "cat.safetensors")

    assert "settings/billing" in (caught.value.hint or "")
