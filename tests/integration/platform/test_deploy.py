"""`lorapod deploy`: the plan, what is made, what is changed, and what goes wrong."""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path
from typing import Any

import pytest
from tests.integration.platform.conftest import IMAGE, RunCommand
from tests.servers.platform import PlatformFault, PlatformStandIn
from tests.servers.platform_referee import specification

DEPLOY = ("deploy", "--image", IMAGE, "--yes")


def project(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "lorapod.toml").read_text("utf-8"))


def only(things: dict[str, dict[str, Any]]) -> dict[str, Any]:
    (thing,) = things.values()
    return thing


class TestPlan:
    def test_a_dry_run_shows_the_plan_with_prices_and_changes_nothing(
        self, call: RunCommand, account: PlatformStandIn, folder: Path
    ) -> None:
        shown = call("deploy", "--image", IMAGE, "--dry-run")

        assert "100 GB in EU-RO-1: $7.00 a month" in shown
        assert "RTX 4090, 24 GB, $1.10 an hour, stock high" in shown
        assert "CUDA 13.0 or newer; 0 to 2 workers" in shown
        assert account.changes == []
        assert list(folder.iterdir()) == []

    def test_the_plan_is_json_for_scripts(self, call: RunCommand) -> None:
        plan = json.loads(call("deploy", "--image", IMAGE, "--dry-run", "--json"))

        (endpoint,) = plan["endpoints"]
        assert plan["applied"] is False
        assert plan["volume"]["usd_per_month"] == 7.0
        assert [pool["pool"] for pool in endpoint["pools"]] == ["ADA_24", "ADA_48_PRO"]
        assert endpoint["action"] == "create"

    @pytest.mark.parametrize(
        ("options", "pools"),
        [
            ((), ["ADA_24", "ADA_48_PRO"]),
            (("--preset", "sd15"), ["ADA_24", "ADA_48_PRO"]),
            (("--gpu-memory", "48"), ["AMPERE_48", "ADA_48_PRO"]),
            (("--gpu-memory", "48", "--max-price", "1.5"), ["AMPERE_48"]),
            (("--gpu-memory", "80"), ["AMPERE_80"]),
        ],
    )
    def test_pools_are_chosen_by_memory_and_price(
        self, options: tuple[str, ...], pools: list[str], call: RunCommand
    ) -> None:
        plan = json.loads(call("deploy", "--image", IMAGE, "--dry-run", "--json", *options))

        assert [pool["pool"] for pool in plan["endpoints"][0]["pools"]] == pools

    def test_the_catalog_is_asked_for_hosts_that_can_run_the_image(
        self, call: RunCommand, account: PlatformStandIn
    ) -> None:
        call("deploy", "--image", IMAGE, "--dry-run", "--min-cuda", "12.8")

        assert any("minCudaVersion=12.8" in path for _, path, _ in account.requests)

    def test_a_gpu_that_no_place_with_s3_has_is_refused(
        self, call: RunCommand, account: PlatformStandIn
    ) -> None:
        shown = call(*DEPLOY, "--gpu-memory", "96", code=1)

        assert "No GPU fits" in shown
        assert "96 GB" in shown
        assert account.changes == []

    def test_a_pool_without_small_gpus_is_made_by_excluding_them(
        self, call: RunCommand, account: PlatformStandIn
    ) -> None:
        small = next(gpu for gpu in account.gpus if gpu["id"] == "NVIDIA RTX A4000")
        small["pool"] = "ADA_24"

        call(*DEPLOY)

        gpu = only(account.endpoints)["gpu"]
        assert gpu["excludedTypes"] == ["NVIDIA RTX A4000"]

    def test_a_gated_base_model_needs_a_token(self, call: RunCommand) -> None:
        without = call("deploy", "--image", IMAGE, "--preset", "flux-dev", "--dry-run")
        with_token = call(
            *("deploy", "--image", IMAGE, "--preset", "flux-dev", "--dry-run", "--secret", "HF_TOKEN")
        )

        assert "black-forest-labs/FLUX.1-dev is gated" in without
        assert "gated" not in with_token

    def test_a_cached_model_is_a_step_in_the_console(self, call: RunCommand) -> None:
        shown = call("deploy", "--image", IMAGE, "--dry-run", "--cached-model", "org/model")

        assert "set org/model in the console" in shown

    def test_the_api_has_no_field_for_a_cached_model(self) -> None:
        """Else `deploy` must send it."""
        schemas = json.dumps(specification()["components"]["schemas"])

        assert "cachedModel" not in schemas
        assert "huggingface" not in schemas.lower()

    def test_the_worker_learns_which_model_should_be_cached(
        self, call: RunCommand, account: PlatformStandIn, folder: Path
    ) -> None:
        call(*DEPLOY, "--cached-model", "org/model")
        call("deploy", "--yes", "--front-door", "cpu")

        for role in ("endpoint", "front_door"):
            assert account.endpoints[project(folder)[role]]["env"]["CACHED_MODEL"] == "org/model"


class TestMaking:
    def test_everything_is_made_and_remembered(
        self, call: RunCommand, account: PlatformStandIn, folder: Path
    ) -> None:
        call(*DEPLOY, "--preset", "sdxl")

        volume, endpoint = only(account.volumes), only(account.endpoints)
        assert (volume["name"], volume["size"], volume["dataCenter"]) == ("lorapod", 100, "EU-RO-1")
        made = [body for method, path, body in account.changes if path == "/v2/serverless"]
        assert made == [
            {
                "name": "lorapod",
                "type": "QUEUE",
                "image": IMAGE,
                "disk": 40,
                "env": {"HANDLER": "backend", "TRAIN_WAIT": "auto", "RUNPOD_DEBUG_LEVEL": "INFO"},
                "gpu": {"pools": ["ADA_24", "ADA_48_PRO"], "count": 1, "minCudaVersion": "13.0"},
                "workers": {"min": 0, "max": 2, "idleTimeout": 60},
                "scaling": {"type": "QUEUE_DELAY", "queueDelay": 4.0},
                "dataCenterIds": ["EU-RO-1"],
                "networkVolumes": [volume["id"]],
                "timeout": 86_400_000,
                "flashboot": "FLASHBOOT",
            }
        ]
        assert project(folder) == {
            "endpoint": endpoint["id"],
            "volume": volume["id"],
            "data_center": "EU-RO-1",
            "deploy": {"image": IMAGE, "preset": "sdxl"},
        }

    def test_an_existing_volume_of_the_name_is_used_where_it_is(
        self, call: RunCommand, account: PlatformStandIn
    ) -> None:
        volume = account.add_volume(name="lorapod", size=50, dataCenter="US-KS-2")

        call(*DEPLOY)

        endpoint = only(account.endpoints)
        assert endpoint["networkVolumes"] == [volume["id"]]
        assert endpoint["gpu"]["pools"] == ["AMPERE_48", "ADA_48_PRO"]

    def test_a_volume_is_named_by_its_id(self, call: RunCommand, account: PlatformStandIn) -> None:
        account.add_volume(name="lorapod", size=50, dataCenter="EU-RO-1")
        other = account.add_volume(name="other", size=50, dataCenter="EU-SE-1")

        shown = call(*DEPLOY, "--volume", other["id"])

        assert only(account.endpoints)["networkVolumes"] == [other["id"]]
        assert "cannot be read by S3" in shown

    def test_two_volumes_of_the_name_are_a_question(self, call: RunCommand, account: PlatformStandIn) -> None:
        for place in ("EU-RO-1", "US-KS-2"):
            account.add_volume(name="lorapod", size=50, dataCenter=place)

        assert "--volume" in call(*DEPLOY, code=1)
        call(*DEPLOY, "--data-center", "US-KS-2")

        assert only(account.endpoints)["dataCenterIds"] == ["US-KS-2"]

    @pytest.mark.parametrize(
        ("fields", "told"),
        [
            ({"name": "lorapod", "cpu": [{"id": "cpu3c", "vcpuCount": 2}]}, "has CPU workers"),
            ({"name": "lorapod-front-door", "gpu": {"pools": ["ADA_24"]}}, "has GPU workers"),
        ],
    )
    def test_an_endpoint_of_the_other_kind_is_not_changed(
        self, fields: dict[str, Any], told: str, call: RunCommand, account: PlatformStandIn
    ) -> None:
        account.add_endpoint(image="someones:1", **fields)

        assert told in call(*DEPLOY, "--front-door", "cpu", code=1)
        assert account.changes == []

    def test_variables_are_plain_from_the_shell_or_secrets(
        self,
        call: RunCommand,
        account: PlatformStandIn,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("BUCKET_SECRET_ACCESS_KEY", "made-up-secret")

        shown = call(
            *(*DEPLOY, "--env", "LOG_LEVEL=DEBUG", "--env-from", "BUCKET_SECRET_ACCESS_KEY"),
            *("--secret", "HF_TOKEN", "--secret", "RABBITMQ_URL=my_broker"),
        )

        env = only(account.endpoints)["env"]
        assert env["LOG_LEVEL"] == "DEBUG"
        assert env["BUCKET_SECRET_ACCESS_KEY"] == "made-up-secret"
        assert env["HF_TOKEN"] == "{{ RUNPOD_SECRET_HF_TOKEN }}"
        assert env["RABBITMQ_URL"] == "{{ RUNPOD_SECRET_my_broker }}"
        assert "made-up-secret" not in shown + (folder / "lorapod.toml").read_text()

    def test_a_front_door_is_made_beside_it(
        self, call: RunCommand, account: PlatformStandIn, folder: Path
    ) -> None:
        shown = call(*DEPLOY, "--front-door", "cpu", "--secret", "HF_TOKEN")

        trainer, door = (account.endpoints[project(folder)[name]] for name in ("endpoint", "front_door"))
        assert door["name"] == "lorapod-front-door"
        assert door["image"] == "me/lorapod-light:1"
        assert door["cpu"] == [{"id": "cpu3c", "vcpuCount": 2, "memory": 4}]
        assert door["networkVolumes"] == trainer["networkVolumes"]
        assert door["workers"]["max"] == 1
        assert door["env"]["AUTO_RESUME"] == "false"
        assert door["env"]["FRONT_DOOR_OF"] == project(folder)["endpoint"]
        assert "FRONT_DOOR_OF" not in trainer["env"]
        assert door["env"]["HF_TOKEN"] == trainer["env"]["HF_TOKEN"]
        assert "$0.060 an hour" in shown

        before = len(account.changes)
        call("deploy", "--yes")

        assert account.changes[before:] == []

    def test_a_front_door_starts_nothing_that_its_image_does_not_have(
        self, call: RunCommand, account: PlatformStandIn, folder: Path
    ) -> None:
        variables = ("START_COMFYUI=true", "HANDLER=fast", "AUTO_RESUME=true")
        call(*DEPLOY, *(part for each in variables for part in ("--env", each)), "--front-door", "cpu")

        trainer, door = (
            account.endpoints[project(folder)[name]]["env"] for name in ("endpoint", "front_door")
        )
        assert (trainer["START_COMFYUI"], trainer["HANDLER"], trainer["AUTO_RESUME"]) == (
            "true",
            "fast",
            "true",
        )
        assert (door["START_COMFYUI"], door["HANDLER"], door["AUTO_RESUME"]) == ("false", "backend", "false")

    def test_a_front_door_that_is_no_longer_wanted_is_named(self, call: RunCommand, folder: Path) -> None:
        call(*DEPLOY, "--front-door", "cpu")

        shown = call("deploy", "--yes", "--front-door", "none")

        door = project(folder)["front_door"]
        assert f"({door}) stays as it is, and requests still go to it" in shown
        assert "stays as it is" not in call("deploy", "--yes", "--front-door", "cpu")

    def test_a_front_door_learns_of_a_new_endpoint(
        self, call: RunCommand, account: PlatformStandIn, folder: Path
    ) -> None:
        call(*DEPLOY, "--front-door", "cpu")
        del account.endpoints[project(folder)["endpoint"]]

        call("deploy", "--yes", "--image", IMAGE)

        made = project(folder)
        assert account.endpoints[made["front_door"]]["env"]["FRONT_DOOR_OF"] == made["endpoint"]

    @pytest.mark.parametrize(("own", "expected"), [(None, "me/lorapod-light:2"), ("me/door:7", "me/door:7")])
    def test_a_front_door_follows_the_workers_image_unless_it_has_its_own(
        self, own: str | None, expected: str, call: RunCommand, account: PlatformStandIn, folder: Path
    ) -> None:
        call(*DEPLOY, "--front-door", "cpu", *(("--front-door-image", own) if own else ()))

        call("deploy", "--yes", "--image", "me/lorapod:2")

        assert account.endpoints[project(folder)["front_door"]]["image"] == expected

    def test_a_person_is_asked(self, call: RunCommand, account: PlatformStandIn) -> None:
        assert "Nothing was changed" in call("deploy", "--image", IMAGE, typed="n\n", code=1)
        assert account.changes == []

        call("deploy", "--image", IMAGE, typed="y\n")

        assert len(account.endpoints) == 1


class TestSecondRun:
    def test_it_changes_nothing_and_asks_nothing(
        self, call: RunCommand, account: PlatformStandIn, folder: Path
    ) -> None:
        call(*DEPLOY, "--preset", "sdxl", "--max-workers", "3")
        before, written = len(account.changes), (folder / "lorapod.toml").read_text()

        shown = call("deploy")

        assert account.changes[before:] == []
        assert "is as it must be" in shown
        assert (folder / "lorapod.toml").read_text() == written

    def test_it_changes_only_what_differs_and_says_what(
        self, call: RunCommand, account: PlatformStandIn
    ) -> None:
        call(*DEPLOY)
        endpoint = only(account.endpoints)
        endpoint["workers"] = {"min": 0, "max": 0, "idleTimeout": 60}
        endpoint["gpu"]["minCudaVersion"] = None
        endpoint["gpu"]["allowedCudaVersions"] = ["12.8"]
        endpoint["env"]["EXTRA"] = "kept"

        shown = call(*DEPLOY, "--secret", "HF_TOKEN")

        (change,) = [body for method, _, body in account.changes if method == "PATCH"]
        assert change == {
            "workers": {"min": 0, "max": 2, "idleTimeout": 60},
            "gpu": {"allowedCudaVersions": [], "minCudaVersion": "13.0"},
            "env": {**endpoint["env"], "HF_TOKEN": "{{ RUNPOD_SECRET_HF_TOKEN }}"},
        }
        assert endpoint["env"]["EXTRA"] == "kept"
        for line in ("max workers: 0 -> 2", "lowest CUDA: 12.8 -> 13.0", "environment: HF_TOKEN added"):
            assert line in shown

    @pytest.mark.parametrize(
        ("damage", "change"),
        [
            ({"image": "me/lorapod:0"}, {"image": IMAGE}),
            ({"timeout": 600_000}, {"timeout": 86_400_000}),
            ({"flashboot": "OFF"}, {"flashboot": "FLASHBOOT"}),
            ({"dataCenterIds": []}, {"dataCenterIds": ["EU-RO-1"]}),
            ({"disk": 5}, {"disk": 40}),
            (
                {"scaling": {"type": "REQUEST_COUNT", "requestCount": 1}, "workers": {"min": 1, "max": 2}},
                {
                    "scaling": {"type": "QUEUE_DELAY", "queueDelay": 4.0},
                    "workers": {"min": 1, "max": 2, "idleTimeout": 60},
                },
            ),
        ],
        ids="-".join,
    )
    def test_a_setting_that_was_changed_is_put_back(
        self, damage: dict[str, Any], change: dict[str, Any], call: RunCommand, account: PlatformStandIn
    ) -> None:
        call(*DEPLOY)
        only(account.endpoints).update(damage)

        call("deploy", "--yes")

        assert [body for method, _, body in account.changes if method == "PATCH"] == [change]

    def test_a_lost_volume_is_made_again(self, call: RunCommand, account: PlatformStandIn) -> None:
        call(*DEPLOY)
        account.volumes.clear()

        call("deploy", "--yes")

        assert only(account.endpoints)["networkVolumes"] == [only(account.volumes)["id"]]

    def test_another_data_center_gets_a_new_volume_and_the_old_one_is_named(
        self, call: RunCommand, account: PlatformStandIn
    ) -> None:
        call(*DEPLOY)
        (old,) = account.volumes

        shown = call("deploy", "--yes", "--data-center", "US-KS-2")

        endpoint = only(account.endpoints)
        (new,) = set(account.volumes) - {old}
        assert endpoint["networkVolumes"] == [new]
        assert endpoint["dataCenterIds"] == ["US-KS-2"]
        assert f"The endpoint leaves the volume {old}" in shown

    def test_pools_stay_if_prices_move(self, call: RunCommand, account: PlatformStandIn) -> None:
        call(*DEPLOY)
        before = len(account.changes)
        for gpu in account.gpus:
            if gpu["pool"] == "ADA_48_PRO":
                gpu["price"]["serverless"] = 9.0

        call("deploy", "--yes")

        assert account.changes[before:] == []

    def test_a_preset_that_needs_more_memory_changes_the_pools(
        self, call: RunCommand, account: PlatformStandIn
    ) -> None:
        call(*DEPLOY)

        shown = call("deploy", "--yes", "--gpu-memory", "48")

        assert only(account.endpoints)["gpu"]["pools"] == ["ADA_48_PRO"]
        assert only(account.endpoints)["gpu"]["minCudaVersion"] == "13.0"
        assert "GPU pools: ADA_24, ADA_48_PRO -> ADA_48_PRO" in shown

    def test_without_its_file_it_finds_what_it_made_by_name(
        self, call: RunCommand, account: PlatformStandIn, folder: Path
    ) -> None:
        call(*DEPLOY)
        (folder / "lorapod.toml").unlink()
        before = len(account.changes)

        call("deploy", "--yes")

        assert account.changes[before:] == []
        assert project(folder)["endpoint"] == only(account.endpoints)["id"]

    def test_an_active_worker_is_kept_and_its_price_told(
        self, call: RunCommand, account: PlatformStandIn
    ) -> None:
        call(*DEPLOY)
        only(account.endpoints)["workers"]["min"] = 1
        before = len(account.changes)

        shown = call("deploy", "--yes")

        assert account.changes[before:] == []
        assert "keeps 1 active worker(s), which cost from $1.10 an hour" in shown

    def test_active_workers_are_set_and_ended(self, call: RunCommand, account: PlatformStandIn) -> None:
        shown = call(*DEPLOY, "--active-workers", "1")
        endpoint = only(account.endpoints)

        assert "1 to 2 workers" in shown
        assert "which cost from $1.10 an hour" in shown
        assert endpoint["workers"] == {"min": 1, "max": 2, "idleTimeout": 60}
        # What the last run was asked for counts for the next one.
        assert "active workers" not in call("deploy", "--yes")

        ended = call("deploy", "--yes", "--active-workers", "0")

        assert "active workers: 1 -> 0" in ended
        assert "also when no job runs" not in ended
        assert account.changes[-1][2] == {"workers": {"min": 0, "max": 2, "idleTimeout": 60}}

    def test_there_are_no_more_active_workers_than_workers(self, call: RunCommand) -> None:
        told = call(*DEPLOY, "--active-workers", "3", code=2)
        assert "max workers is 2" in told


class TestDestroy:
    def test_it_asks_twice_and_keeps_the_volume(
        self, call: RunCommand, account: PlatformStandIn, folder: Path
    ) -> None:
        call(*DEPLOY, "--front-door", "cpu")

        call("deploy", "--destroy", typed="y\nn\n", code=1)
        assert len(account.endpoints) == 2
        call("deploy", "--destroy", typed="y\ny\n")

        assert account.endpoints == {}
        assert len(account.volumes) == 1
        assert set(project(folder)) == {"volume", "data_center", "deploy"}

    def test_afterwards_the_same_volume_is_used_again(
        self, call: RunCommand, account: PlatformStandIn
    ) -> None:
        call(*DEPLOY)
        call("deploy", "--destroy", "--yes")
        call("deploy", "--yes")

        assert only(account.endpoints)["networkVolumes"] == [only(account.volumes)["id"]]
        assert only(account.endpoints)["image"] == IMAGE

    def test_an_endpoint_that_is_gone_is_no_error(self, call: RunCommand, account: PlatformStandIn) -> None:
        call(*DEPLOY)
        account.endpoints.clear()

        assert "gone already" in call("deploy", "--destroy", "--yes")

    def test_a_dry_run_deletes_nothing(self, call: RunCommand, account: PlatformStandIn) -> None:
        call(*DEPLOY)

        call("deploy", "--destroy", "--dry-run")

        assert len(account.endpoints) == 1

    def test_without_an_endpoint_the_call_is_wrong(self, call: RunCommand) -> None:
        assert "nothing to delete" in call("deploy", "--destroy", "--yes", code=2)


class TestWrongCalls:
    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            (("--yes",), "--image"),
            (("--image", IMAGE), "--yes"),
            (("--image", IMAGE, "--yes", "--preset", "nothing"), "there is no preset 'nothing'"),
            (("--image", IMAGE, "--yes", "--volume", "gone"), "there is no volume gone"),
            (("--image", IMAGE, "--yes", "--env", "HF_TOKEN=hf_x"), "--secret HF_TOKEN"),
            (("--image", IMAGE, "--yes", "--env", "BROKER=amqp://me:pw@host"), "seems to be secret"),
            (("--image", IMAGE, "--yes", "--env", "NAME"), "NAME=VALUE"),
            (("--image", IMAGE, "--yes", "--env-from", "NOT_THERE"), "export it first"),
            (("--image", IMAGE, "--yes", "--secret", "no name"), "'no name' is not the name"),
            (("--image", IMAGE, "--yes", "--min-cuda", "13"), "such as 13.0"),
            (("--image", IMAGE, "--yes", "--name", ""), "empty"),
            (("--image", IMAGE, "--yes", "--max-workers", "0"), "--max-workers"),
        ],
    )
    def test_a_wrong_call_ends_with_2_and_changes_nothing(
        self, arguments: tuple[str, ...], told: str, call: RunCommand, account: PlatformStandIn
    ) -> None:
        assert told in call("deploy", *arguments, code=2)
        assert account.changes == []

    @pytest.mark.parametrize(
        "text",
        ["endpoint = 1", "not toml", "deploy = 1", "[deploy]\nmax_workers = 'two'", "[deploy]\npreset = 'x'"],
    )
    def test_a_damaged_file_is_named(self, text: str, call: RunCommand, folder: Path) -> None:
        (folder / "lorapod.toml").write_text(text)

        assert "lorapod.toml" in call(*DEPLOY, code=2) or "x" in text

    def test_a_wrong_address_of_the_api_ends_with_2(self, call: RunCommand, account: PlatformStandIn) -> None:
        account.url = "nonsense"

        assert "RUNPOD_REST_URL" in call(*DEPLOY, code=2)

    def test_a_folder_that_does_not_exist_ends_with_2(
        self, call: RunCommand, account: PlatformStandIn, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("LORAPOD_FILE", "nowhere/lorapod.toml")

        assert "LORAPOD_FILE" in call(*DEPLOY, code=2)
        assert account.changes == []


class TestFaults:
    def test_a_file_that_cannot_be_written_is_told_and_nothing_is_made_twice(
        self, call: RunCommand, account: PlatformStandIn, folder: Path
    ) -> None:
        # The place of the file that is renamed at the end.
        (folder / f".lorapod.toml.{os.getpid()}").mkdir()

        assert "lorapod.toml cannot be written: Is a directory" in call(*DEPLOY, code=1)
        (folder / f".lorapod.toml.{os.getpid()}").rmdir()
        call(*DEPLOY)

        assert len(account.volumes) == len(account.endpoints) == 1

    @pytest.mark.parametrize("path", ["/v2/serverless", "/v2/network-volumes"])
    @pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 429, 500])
    def test_a_refused_creation_is_told_and_the_next_run_completes(
        self, status: int, path: str, call: RunCommand, account: PlatformStandIn
    ) -> None:
        account.faults = [
            PlatformFault(status=status, method="POST", path=path, detail="made up", retry_after="0")
        ] * 3

        shown = call(*DEPLOY, code=1)

        assert "made up" in shown
        assert "Traceback" not in shown
        account.faults.clear()
        call(*DEPLOY)
        assert len(account.volumes) == len(account.endpoints) == 1

    @pytest.mark.parametrize("cut", ["before", "after"])
    @pytest.mark.parametrize("path", ["/v2/serverless", "/v2/network-volumes"])
    @pytest.mark.parametrize("front_door", [(), ("--front-door", "cpu")])
    def test_a_network_that_ends_in_the_middle_makes_nothing_twice(
        self, front_door: tuple[str, ...], path: str, cut: str, call: RunCommand, account: PlatformStandIn
    ) -> None:
        account.faults = [PlatformFault(method="POST", path=path, cut=cut)]

        shown = call(*DEPLOY, *front_door, code=1)
        assert "run the command again" in shown
        call(*DEPLOY, *front_door)

        assert len(account.volumes) == 1
        assert len(account.endpoints) == (2 if front_door else 1)
        assert {tuple(each["networkVolumes"]) for each in account.endpoints.values()} == {
            (only(account.volumes)["id"],)
        }

    def test_the_next_run_remembers_the_volume_that_was_named(
        self, call: RunCommand, account: PlatformStandIn
    ) -> None:
        named = account.add_volume(name="other", size=50, dataCenter="EU-RO-1")
        account.faults = [PlatformFault(status=500, method="POST", path="/v2/serverless")]

        call(*DEPLOY, "--volume", named["id"], code=1)
        call(*DEPLOY)

        assert only(account.endpoints)["networkVolumes"] == [named["id"]]
        assert list(account.volumes) == [named["id"]]

    def test_a_change_that_broke_off_is_done_by_the_next_attempt(
        self, call: RunCommand, account: PlatformStandIn
    ) -> None:
        call(*DEPLOY)
        account.faults = [PlatformFault(method="PATCH", cut="before")]

        call("deploy", "--yes", "--image", "me/lorapod:2")

        assert only(account.endpoints)["image"] == "me/lorapod:2"

    def test_a_wrong_key_is_told_without_it(self, call: RunCommand) -> None:
        shown = call(*DEPLOY, code=1, key="rpa_another_key")

        assert "does not accept the API key" in shown
        assert "rpa_another_key" not in shown

    def test_no_key_is_told(self, call: RunCommand) -> None:
        assert "RUNPOD_API_KEY" in call(*DEPLOY, code=1, key="")
