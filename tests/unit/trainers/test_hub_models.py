from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr
from tests.servers.hub import TOKEN, HubStandIn, Repo, running_hub

from lorapod.errors import InvalidInput
from lorapod.settings import Settings
from lorapod.trainers.hub_models import TRUSTED_S, HubModels

FLUX = "black-forest-labs/FLUX.1-dev"


@pytest.fixture(scope="module")
def server() -> Iterator[HubStandIn]:
    with running_hub() as hub:
        yield hub


@pytest.fixture
def hub(server: HubStandIn) -> HubStandIn:
    server.repos = {FLUX: Repo(private=False, gated=True), "a/public": Repo(private=False)}
    server.requests.clear()
    server.accepted = False
    return server


@pytest.fixture
def models(hub: HubStandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))

    def of(token: str | None = TOKEN, **settings: Any) -> HubModels:
        return HubModels(
            Settings(
                workspace_path=tmp_path,
                hf_token=SecretStr(token) if token else None,
                **{"hf_endpoint": hub.url, **settings},
            )
        )

    return of


def config(**model: str) -> dict[str, Any]:
    return {"job": "extension", "config": {"process": [{"type": "diffusion_trainer", "model": model}]}}


def test_a_gated_model_names_the_page_of_its_terms(models: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        models().check(config(name_or_path=FLUX))
    assert caught.value.message == (
        f"The model {FLUX} is gated, and the account of this worker's HF_TOKEN may not read it."
    )
    assert caught.value.hint == (
        f"Accept its terms on https://huggingface.co/{FLUX} with the account of HF_TOKEN."
    )
    assert caught.value.details[0]["field"] == "config.process[0].model.name_or_path"


def test_without_a_token_it_says_what_to_set(models: Any) -> None:
    with pytest.raises(InvalidInput, match="this worker has no HF_TOKEN") as caught:
        models(None).check(config(name_or_path=FLUX))
    assert "set HF_TOKEN on the endpoint" in caught.value.hint


def test_an_account_that_accepted_them_passes_and_is_not_asked_again(
    models: Any, hub: HubStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.accepted = True
    found = models()
    now = [0.0]
    monkeypatch.setattr(found, "_monotonic", lambda: now[0])
    assert found.check(config(name_or_path=FLUX)) == []
    assert found.check(config(name_or_path=FLUX)) == []
    assert len(hub.requests) == 1
    now[0] = TRUSTED_S + 1
    assert found.check(config(name_or_path=FLUX)) == []
    assert len(hub.requests) == 2


def test_every_model_of_a_config_is_asked_for(models: Any, hub: HubStandIn) -> None:
    named = config(
        name_or_path="a/public",
        extras_name_or_path="a/public",
        assistant_lora_path="no/body/adapter.safetensors",
        vae_path=FLUX,
    )
    with pytest.raises(InvalidInput) as caught:
        models().check(named)
    assert [detail["field"] for detail in caught.value.details] == [
        "config.process[0].model.vae_path",
        "config.process[0].model.assistant_lora_path",
    ]
    assert "no model no/body" in caught.value.message
    assert "https://huggingface.co/" in caught.value.hint
    assert len(hub.requests) == 3


@pytest.mark.parametrize(
    "name", ["/models/flux", "models/flux.safetensors/x/", "https://civitai.com/x", "gpt2"]
)
def test_what_is_no_repository_is_not_asked_for(models: Any, hub: HubStandIn, name: str) -> None:
    assert models().check(config(name_or_path=name)) == []
    assert hub.requests == []


@pytest.mark.parametrize("junk", [{}, {"config": {}}, {"config": {"process": [{"model": None}]}}])
def test_a_broken_config_is_left_to_the_trainer(models: Any, junk: dict[str, Any]) -> None:
    assert models().check(junk) == []


def test_a_model_on_this_worker_is_not_asked_for(models: Any, hub: HubStandIn, tmp_path: Path) -> None:
    snapshot = tmp_path / "hf/hub" / f"models--{FLUX.replace('/', '--')}" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "model_index.json").write_text("{}")
    assert models().check(config(name_or_path=FLUX)) == []
    assert hub.requests == []


def test_a_model_that_runpod_keeps_on_another_host_is_asked_for(
    models: Any, hub: HubStandIn, tmp_path: Path
) -> None:
    snapshot = tmp_path / "hf/hub" / f"models--{FLUX.replace('/', '--')}" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "model_index.json").symlink_to("/no-cache-on-this-host")
    with pytest.raises(InvalidInput, match="is gated"):
        models().check(config(name_or_path=FLUX))


def test_nothing_is_asked_offline(models: Any, hub: HubStandIn) -> None:
    assert models(hf_hub_offline=True).check(config(name_or_path=FLUX)) == []
    assert hub.requests == []


def test_a_hub_that_is_away_is_a_warning(models: Any) -> None:
    away = models(hf_endpoint="http://127.0.0.1:9")
    (warning,) = away.check(config(name_or_path=FLUX, vae_path="a/public"))
    assert f"whether this worker may read the model {FLUX} is not known" in warning


@pytest.mark.parametrize("fault", [web.HTTPServiceUnavailable, web.HTTPTooManyRequests, web.HTTPNotFound])
def test_an_answer_that_tells_nothing_is_a_warning(
    models: Any, hub: HubStandIn, fault: type[web.HTTPException]
) -> None:
    hub.faults.append(fault())
    (warning,) = models().check(config(name_or_path=FLUX))
    assert "is not known" in warning
