"""RunPod's cached model, as huggingface_hub and the programs that load models find it in the volume's cache."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from huggingface_hub import hf_hub_download, snapshot_download
from tests.servers.hub import HubStandIn, Repo, running_hub

from lorapod.cached_models import CachedModel, CachedModels, ModelPlace, has_snapshot
from lorapod.model_paths import cached_repository

MODEL = "owner/a-model"
WEIGHTS = b"weights" * 1000


@pytest.fixture(scope="module")
def server() -> Iterator[HubStandIn]:
    with running_hub() as hub:
        yield hub


@pytest.fixture
def hub(server: HubStandIn) -> HubStandIn:
    """A Hub with one model."""
    server.repos = {
        MODEL: Repo(private=False, commits=[{"unet/weights.safetensors": WEIGHTS, "README.md": b"1"}])
    }
    return server


@pytest.fixture
def models(hub: HubStandIn, tmp_path: Path) -> CachedModels:
    """A host where RunPod keeps the model, and a volume without it."""
    found = CachedModels(platform=tmp_path / "host" / "hub", hub_cache=tmp_path / "volume" / "hub")
    snapshot_download(MODEL, cache_dir=found.platform, endpoint=hub.url)
    return found


def fetch(hub: HubStandIn, models: CachedModels, name: str = "unet/weights.safetensors") -> tuple[Path, int]:
    """Fetch a file as every program does; return it, and how often the Hub sent a file."""
    hub.requests.clear()
    path = hf_hub_download(MODEL, name, cache_dir=models.hub_cache, endpoint=hub.url)
    return Path(path), sum(method == "GET" and "/resolve/" in asked for method, asked in hub.requests)


def test_what_runpod_keeps_is_not_downloaded(hub: HubStandIn, models: CachedModels) -> None:
    assert models.link() == [MODEL]

    path, downloads = fetch(hub, models)

    assert (path.read_bytes(), downloads) == (WEIGHTS, 0)
    assert path.is_relative_to(models.hub_cache)
    assert path.resolve().is_relative_to(models.platform), "the volume holds no second copy"
    assert models.all() == [CachedModel(hub_id=MODEL, place=ModelPlace.RUNPOD_CACHE)]


def test_without_a_link_it_is_downloaded(hub: HubStandIn, models: CachedModels) -> None:
    assert fetch(hub, models)[1] == 1


def test_a_newer_commit_downloads_only_what_changed(hub: HubStandIn, models: CachedModels) -> None:
    models.link()
    hub.repos[MODEL].commits.append({"unet/weights.safetensors": WEIGHTS, "README.md": b"2"})

    weights, downloads = fetch(hub, models)
    readme, downloads_of_readme = fetch(hub, models, "README.md")

    assert (weights.read_bytes(), downloads) == (WEIGHTS, 0)
    assert (readme.read_bytes(), downloads_of_readme) == (b"2", 1)


def test_a_worker_elsewhere_downloads_it_in_place_of_the_links(hub: HubStandIn, models: CachedModels) -> None:
    models.link()
    shutil.rmtree(models.platform)
    assert models.all() == [], "links that lead nowhere are no model"
    assert models.find(MODEL) is None

    path, downloads = fetch(hub, models)

    assert (path.read_bytes(), downloads) == (WEIGHTS, 1)
    assert path.resolve().is_relative_to(models.hub_cache)
    assert models.all() == [CachedModel(hub_id=MODEL, place=ModelPlace.VOLUME)]


def test_what_the_volume_has_itself_stays(hub: HubStandIn, models: CachedModels) -> None:
    own, _ = fetch(hub, models)
    before = own.resolve()

    models.link()

    assert own.resolve() == before


def test_a_link_that_leads_nowhere_is_made_again(hub: HubStandIn, models: CachedModels) -> None:
    models.link()
    moved = CachedModels(platform=models.platform.with_name("moved"), hub_cache=models.hub_cache)
    models.platform.rename(moved.platform)

    moved.link()

    assert fetch(hub, moved)[1] == 0
    assert not list(models.hub_cache.rglob(".*-*")), "nothing is left beside the links"


def test_the_documented_layout_is_enough(hub: HubStandIn, models: CachedModels) -> None:
    """RunPod documents `snapshots/<hash>/` and nothing else: no `blobs`, no `refs`."""
    repository = cached_repository(models.platform, MODEL)
    plain = repository.with_name("plain")
    shutil.copytree(repository / "snapshots", plain / "snapshots")
    shutil.rmtree(repository)
    plain.rename(repository)

    models.link()

    assert fetch(hub, models)[1] == 0
    offline = hf_hub_download(MODEL, "README.md", cache_dir=models.hub_cache, local_files_only=True)
    assert Path(offline).read_bytes() == b"1"


def test_a_host_without_a_cache_has_nothing_to_link(tmp_path: Path) -> None:
    models = CachedModels(platform=tmp_path / "none", hub_cache=tmp_path / "hub")

    assert (models.link(), models.all()) == ([], [])
    assert not models.hub_cache.exists()


def test_a_cache_that_is_the_volumes_own_is_left_alone(models: CachedModels) -> None:
    same = CachedModels(platform=models.platform, hub_cache=models.platform)

    assert same.link() == [MODEL]
    assert has_snapshot(models.platform, MODEL)


def test_workers_that_begin_together_link_it_together(
    hub: HubStandIn, models: CachedModels, caplog: pytest.LogCaptureFixture
) -> None:
    """In containers, workers of several hosts often have the same process id."""
    for folder in range(60):
        name = cached_repository(models.platform, MODEL) / "blobs" / f"{folder:040x}"
        name.write_bytes(b"another file")

    with ThreadPoolExecutor(8) as workers:
        linked = list(workers.map(lambda _: models.link(), range(8)))

    assert linked == [[MODEL]] * 8
    assert "it will be downloaded" not in caplog.text
    assert fetch(hub, models)[1] == 0
    assert not list(models.hub_cache.rglob(".*-*")), "nothing is left beside the links"


def test_a_volume_that_cannot_be_written_costs_a_download_only(
    models: CachedModels, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "volume").write_text("no folder")

    assert models.link() == []
    assert "it will be downloaded" in caplog.text


def test_a_damaged_reference_costs_no_worker_its_start(hub: HubStandIn, models: CachedModels) -> None:
    (cached_repository(models.platform, MODEL) / "refs" / "main").write_bytes(b"\xff\xfe torn")

    models.link()

    assert fetch(hub, models)[1] == 0
