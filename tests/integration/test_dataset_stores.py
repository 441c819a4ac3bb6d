"""Datasets out of object stores: through the real S3 server, and stand-ins for the two that cannot be installed."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.servers.hub import Repo, running_hub
from tests.servers.s3_server import BUCKET, KEY_ID, SECRET_KEY, RunningS3
from tests.servers.supabase_storage import running_supabase
from tests.unit.datasets.library_bench import packed, picture

from lorapod.datasets.fetching import DatasetFetcher
from lorapod.errors import InvalidInput, WorkerError
from lorapod.settings import Settings
from lorapod.storage.stores import ObjectStores
from lorapod.wire.dataset import DatasetRef, FetchProgress
from lorapod.workspace import Workspace

# huggingface_hub calls its own HTTP library in a way that this calls old.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

FILES = {
    "cats/a.png": picture(size=(300, 300)),
    "cats/a.txt": b"a cat",
    "cats/more.zip": packed({"b.png": picture(size=(301, 300))}),
    "cats/README.md": b"not for trainers",
}

#: Two folders with the same names, a zip made on Windows, and names that people have.
FOLDERS = {
    "cats/set/a/1.png": picture(size=(302, 300)),
    "cats/set/a/1.TXT": "a café".encode("cp1252"),
    "cats/set/b/1.png": picture(size=(303, 300)),
    "cats/set/b/1.caption": b"two",
    "cats/set/it's me, photo (1).JPG": picture("JPEG", size=(304, 300)),
    "cats/set/metadata.jsonl": b'{"file_name": "it\'s me, photo (1).JPG", "text": "three"}',
    "cats/set/w.zip": packed({"w\\1.png": picture(size=(305, 300)), "w\\1.txt": b"four"}),
}


@dataclass(frozen=True, kw_only=True)
class Place:
    """A store with `FILES` in it, as a request and the endpoint's settings name it."""

    dataset: dict[str, Any]
    settings: dict[str, Any]


@pytest.fixture
def objects(request: pytest.FixtureRequest) -> dict[str, bytes]:
    return dict(getattr(request, "param", FILES))


@pytest.fixture
def s3(s3_server: RunningS3, objects: dict[str, bytes]) -> Place:
    prefix = secrets.token_hex(6)
    for key, content in objects.items():
        s3_server.put(f"{prefix}/{key}", content)
    return Place(
        dataset={"s3": {"prefix": f"{prefix}/cats"}},
        settings={
            "bucket_endpoint_url": s3_server.access().endpoint_url,
            "bucket_access_key_id": KEY_ID,
            "bucket_secret_access_key": SECRET_KEY,
            "bucket_name": BUCKET,
        },
    )


@pytest.fixture
def supabase(tmp_path: Path, objects: dict[str, bytes]) -> Iterator[Place]:
    with running_supabase() as server:
        server.buckets["loras"] = {}
        settings = Settings(
            supabase_url=server.access().url,
            supabase_service_key=server.access().service_key,
            store_patience_s=5,
        )
        location = DatasetRef.model_validate(
            {"supabase": {"bucket_name": "loras", "folder_path": "cats"}}
        ).supabase
        assert location is not None
        with ObjectStores(settings=settings, workspace=Workspace(root=Path())).open(location) as store:
            for key, content in objects.items():
                (tmp_path / "file").write_bytes(content)
                store.put_file(tmp_path / "file", key.removeprefix("cats/"))
        yield Place(
            dataset={"supabase": {"bucket_name": "loras", "folder_path": "cats"}},
            settings={
                "supabase_url": settings.supabase_url,
                "supabase_service_key": settings.supabase_service_key,
            },
        )


@pytest.fixture
def huggingface(objects: dict[str, bytes]) -> Iterator[Place]:
    with running_hub() as server:
        server.repos["someone/cats"] = Repo(private=False, commits=[objects])
        yield Place(
            dataset={"huggingface": {"repo_id": "someone/cats"}},
            settings={"hf_endpoint": server.url, "hf_token": None},
        )


class Fetching:
    """A workspace with a fetcher over the real stores."""

    def __init__(self, root: Path, settings: dict[str, Any]) -> None:
        self.workspace = Workspace.create(root)
        self.settings = Settings(workspace_path=root, disk_min_free_bytes=0, store_patience_s=5, **settings)
        stores = ObjectStores(settings=self.settings, workspace=self.workspace)
        self.fetcher = DatasetFetcher(
            workspace=self.workspace, settings=self.settings, open_store=stores.open
        )
        self.told: list[FetchProgress] = []

    def fetch(self, dataset: dict[str, Any]) -> dict[str, bytes]:
        ref = DatasetRef.model_validate(dataset)
        self.fetcher.precheck(ref)
        folder = self.fetcher.fetch(ref, "train_1", stopped=lambda: False, tell=self.told.append).path
        paths = (path for path in folder.rglob("*") if path.is_file() and ".lorapod" not in path.parts)
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@pytest.mark.parametrize("kind", ["s3", "supabase", "huggingface"])
def test_a_folder_becomes_a_dataset(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    place: Place = request.getfixturevalue(kind)
    fetching = Fetching(tmp_path / "workspace", place.settings)
    assert fetching.fetch(place.dataset) == {
        "a.png": FILES["cats/a.png"],
        "a.txt": b"a cat",
        "b.png": picture(size=(301, 300)),
    }
    sizes = sum(len(content) for name, content in FILES.items() if not name.endswith(".md"))
    assert fetching.told[-1].received_bytes == sizes
    before = {path: path.stat().st_ino for path in fetching.workspace.training_data.rglob("*.png")}
    fetching.fetch(place.dataset)
    assert {path: path.stat().st_ino for path in fetching.workspace.training_data.rglob("*.png")} == before
    incoming = fetching.workspace.training_data / ".incoming"
    assert [path for path in incoming.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("objects", [FOLDERS], indirect=True)
@pytest.mark.parametrize("kind", ["s3", "supabase", "huggingface"])
def test_nothing_is_lost_by_folders_names_and_forms(
    kind: str, objects: dict[str, bytes], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    place: Place = request.getfixturevalue(kind)
    fetching = Fetching(tmp_path / "workspace", place.settings)
    for _ in range(2):  # the second time out of the first dataset
        found = fetching.fetch(place.dataset)
        texts = {name: content.decode() for name, content in found.items() if name.endswith(".txt")}
        assert texts == {
            "a__1.txt": "a café",
            "b__1.txt": "two",
            "it's me, photo (1).txt": "three",
            "1.txt": "four",
        }
        assert found["a__1.png"] == objects["cats/set/a/1.png"]
        assert found["b__1.png"] == objects["cats/set/b/1.png"]
        assert found["1.png"] == picture(size=(305, 300))
        assert len(found) == 10


@pytest.mark.parametrize("kind", ["s3", "supabase", "huggingface"])
def test_a_folder_that_is_not_there(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    place: Place = request.getfixturevalue(kind)
    fetching = Fetching(tmp_path / "workspace", place.settings)
    nowhere: dict[str, dict[str, Any]] = {
        "s3": {"prefix": "nowhere"},
        "supabase": {"bucket_name": "loras", "folder_path": "nowhere"},
        "huggingface": {"repo_id": "someone/else"},
    }
    with pytest.raises(WorkerError):
        fetching.fetch({kind: nowhere[kind]})


def test_an_endpoint_without_credentials_says_so_before(tmp_path: Path) -> None:
    fetching = Fetching(tmp_path / "workspace", {})
    for dataset in ({"s3": {"bucket": "b"}}, {"supabase": {"bucket_name": "b", "folder_path": "f"}}):
        with pytest.raises(InvalidInput):
            fetching.fetcher.precheck(DatasetRef.model_validate(dataset))
