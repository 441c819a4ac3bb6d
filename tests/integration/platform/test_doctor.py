"""`lorapod doctor`: each finding, the command that mends it, and what `--fix` changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.integration.platform.conftest import IMAGE, RunCommand
from tests.servers.platform import PlatformFault, PlatformStandIn
from tests.servers.platform_parts import log_lines, queue_state, worker

from lorapod import __version__

HEALTH: dict[str, Any] = {
    "status": "ok",
    "worker_id": "w1",
    "version": __version__,
    "checks": [{"name": "disk", "ok": True, "detail": "50 GB free"}],
    "disk_usage": {"parts": [{"name": "models", "size_bytes": 40_000_000_000, "files": 3}]},
}


@pytest.fixture
def endpoint(call: RunCommand, account: PlatformStandIn) -> dict[str, Any]:
    """An endpoint as `deploy` makes it."""
    call("deploy", "--image", IMAGE, "--yes")
    (made,) = account.endpoints.values()
    account.requests.clear()
    return made


def findings(call: RunCommand, *options: str, code: int = 0) -> dict[str, Any]:
    return dict(json.loads(call("doctor", "--json", *options, code=code)))


def problems(call: RunCommand, *options: str) -> list[dict[str, Any]]:
    told = findings(call, *options, code=1)
    assert told["status"] == "problem"
    return [each for each in told["findings"] if each["severity"] == "problem"]


class TestHealthy:
    def test_a_good_endpoint_is_well_and_no_worker_is_woken(
        self, call: RunCommand, account: PlatformStandIn, endpoint: dict[str, Any]
    ) -> None:
        shown = call("doctor")

        assert "problem" not in shown
        assert "No worker runs now" in shown
        assert "100 GB in EU-RO-1, is attached" in shown
        assert account.changes == []

    def test_a_worker_that_is_up_is_asked(
        self, call: RunCommand, account: PlatformStandIn, endpoint: dict[str, Any]
    ) -> None:
        account.workers[endpoint["id"]] = [worker("w1", "IDLE", gpuTypeId="NVIDIA L40S")]
        account.answers["health"] = HEALTH

        shown = call("doctor")

        assert "w1 (NVIDIA L40S) is idle" in shown
        assert f"both lorapod {__version__}" in shown
        assert "40.0 of 100 GB of the volume are used" in shown

    def test_a_cached_model_that_is_not_on_the_host_is_a_step_in_the_console(
        self, call: RunCommand, account: PlatformStandIn, endpoint: dict[str, Any]
    ) -> None:
        account.workers[endpoint["id"]] = [worker("w1", "IDLE")]
        missing = {
            "name": "cached_model",
            "ok": False,
            "detail": "org/model (CACHED_MODEL) is not in RunPod's cache.",
        }
        account.answers["health"] = {**HEALTH, "checks": [missing]}

        (found,) = problems(call)

        assert "org/model" in found["message"]
        assert "Edit Endpoint, Model" in found["mend"]

    def test_a_front_door_needs_no_gpu(
        self, call: RunCommand, account: PlatformStandIn, endpoint: dict[str, Any]
    ) -> None:
        call("deploy", "--yes", "--front-door", "cpu")
        (door,) = (each for each in account.endpoints.values() if "cpu" in each)
        account.workers[door["id"]] = [worker("w1", "IDLE")]
        missing = [{"name": name, "ok": False, "detail": "none"} for name in ("gpu", "trainer:ai-toolkit")]
        account.answers["health"] = {**HEALTH, "checks": missing}

        assert "w1 says that it is well" in call("doctor", "--endpoint", door["id"])
        account.workers[endpoint["id"]] = [worker("w1", "IDLE")]
        assert "gpu: none" in call("doctor", code=1)

    def test_values_of_variables_are_not_shown(self, call: RunCommand, endpoint: dict[str, Any]) -> None:
        endpoint["env"] |= {"HF_TOKEN": "{{ RUNPOD_SECRET_mine }}", "BUCKET_NAME": "made-up-value"}

        shown = call("doctor")

        assert "BUCKET_NAME, HANDLER, HF_TOKEN (secret mine)" in shown
        assert "made-up-value" not in shown


class TestSettings:
    def test_max_workers_of_zero_is_explained_and_raised(
        self, call: RunCommand, account: PlatformStandIn, endpoint: dict[str, Any]
    ) -> None:
        endpoint["workers"]["max"] = 0
        account.releases[endpoint["id"]] = [
            {
                "id": "r",
                "source": "MANUAL",
                "createdAt": "2026-11-20T10:00:00Z",
                "workerCount": 0,
                "diff": [{"field": "workersMax", "old": 2, "new": 0}],
            }
        ]

        (found,) = problems(call)
        assert "Max workers is 0" in found["message"]
        assert "changed on 2026-11-20" in found["message"]
        assert found["mend"] == "lorapod doctor --fix"

        told = findings(call, "--fix")

        assert told["fixed"] == ["max workers"]
        assert account.changes[-1][2] == {"workers": {"min": 0, "max": 2, "idleTimeout": 60}}

    @pytest.mark.parametrize(
        ("gpu", "allows"),
        [
            ({"minCudaVersion": None}, "CUDA any,"),
            ({"minCudaVersion": "12.10"}, "CUDA 12.10 or newer"),
            ({"minCudaVersion": None, "allowedCudaVersions": ["12.8", "13.0"]}, "CUDA 12.8, 13.0"),
        ],
        ids=["none", "low", "list"],
    )
    def test_hosts_that_cannot_run_the_image_are_kept_off(
        self, gpu: dict[str, Any], allows: str, call: RunCommand, endpoint: dict[str, Any]
    ) -> None:
        endpoint["gpu"] |= gpu

        (found,) = problems(call)
        assert allows in found["message"]

        findings(call, "--fix")

        assert endpoint["gpu"]["minCudaVersion"] == "13.0"
        assert endpoint["gpu"]["allowedCudaVersions"] == []

    @pytest.mark.parametrize(
        "gpu", [{"minCudaVersion": "13.1"}, {"minCudaVersion": None, "allowedCudaVersions": ["13.0"]}]
    )
    def test_hosts_that_can_run_it_are_fine(
        self, gpu: dict[str, Any], call: RunCommand, endpoint: dict[str, Any]
    ) -> None:
        endpoint["gpu"] |= gpu

        findings(call)

    def test_a_short_job_timeout_is_raised(self, call: RunCommand, endpoint: dict[str, Any]) -> None:
        endpoint["timeout"] = 600_000

        (found,) = problems(call)
        assert "after 600 s" in found["message"]
        findings(call, "--fix")

        assert endpoint["timeout"] == 86_400_000

    def test_a_missing_volume_is_attached_if_it_is_known(
        self, call: RunCommand, endpoint: dict[str, Any]
    ) -> None:
        (volume,) = endpoint["networkVolumes"]
        endpoint["networkVolumes"] = []

        (found,) = problems(call)
        assert "No volume is attached" in found["message"]
        findings(call, "--fix")

        assert endpoint["networkVolumes"] == [volume]

    def test_a_volume_that_is_gone_is_made_by_deploy(
        self, call: RunCommand, account: PlatformStandIn, endpoint: dict[str, Any]
    ) -> None:
        account.volumes.clear()

        (found,) = problems(call, "--fix")

        assert "does not exist any more" in found["message"]
        assert found["mend"] == "lorapod deploy"
        assert account.changes == []

    def test_another_image_than_deployed_is_named(self, call: RunCommand, endpoint: dict[str, Any]) -> None:
        endpoint["image"] = "me/lorapod:0"

        (found,) = problems(call)

        assert found["mend"] == f"lorapod deploy --image {IMAGE}"

    def test_half_of_a_pair_of_variables_is_named(self, call: RunCommand, endpoint: dict[str, Any]) -> None:
        endpoint["env"]["SUPABASE_URL"] = "https://abc.supabase.co"

        (found,) = problems(call)

        assert found["mend"] == "lorapod deploy --secret SUPABASE_SERVICE_KEY"

    def test_a_gated_preset_needs_a_token(self, call: RunCommand, endpoint: dict[str, Any]) -> None:
        call("deploy", "--yes", "--preset", "flux-dev")

        (found,) = problems(call)

        assert "black-forest-labs/FLUX.1-dev, which is gated" in found["message"]

    def test_a_fix_that_is_refused_is_a_finding(
        self, call: RunCommand, account: PlatformStandIn, endpoint: dict[str, Any]
    ) -> None:
        endpoint["timeout"] = 600_000
        account.faults = [PlatformFault(status=403, method="PATCH", detail="read only key")]

        found = problems(call, "--fix")

        assert any("read only key" in each["message"] for each in found)


#: A line of a log, a part of the explanation, a part of the command.
CAUSES = [
    (
        "nvidia-container-cli: requirement error: unsatisfied condition: cuda>=13.0",
        "driver is too old",
        "--fix",
    ),
    ("manifest for me/lorapod:1 not found: manifest unknown", "cannot be pulled", "deploy --image"),
    ("toomanyrequests: You have reached your pull rate limit", "limits how often", "Registry Auth"),
    ("exec /usr/bin/tini: exec format error", "another kind of processor", "linux/amd64"),
    (
        "startup: no network volume is attached: trained files will be lost",
        "no network volume",
        "lorapod deploy",
    ),
    ("OSError: [Errno 28] No space left on device", "disk is full", "lorapod du"),
    ("startup: /runpod-volume is not writable: check the volume", "may not write", "Storage"),
    ("Cannot access gated repo for url", "gated", "--secret HF_TOKEN"),
    ("container exited with code 137", "more memory", "--gpu-memory"),
    ("CUDA error: no kernel image is available for execution on the device", "cannot be used", "replaces"),
]


class TestWorkers:
    @pytest.mark.parametrize(("line", "cause", "mend"), CAUSES, ids=[cause for _, cause, _ in CAUSES])
    def test_a_known_cause_is_explained_with_its_line(
        self,
        *,
        line: str,
        cause: str,
        mend: str,
        call: RunCommand,
        account: PlatformStandIn,
        endpoint: dict[str, Any],
    ) -> None:
        account.workers[endpoint["id"]] = [worker("w1", "UNHEALTHY")]
        account.logs["w1"] = log_lines(line, *["and so on"] * 5, source="system")

        (found,) = problems(call)

        assert cause in found["message"]
        assert mend in found["mend"]
        assert found["lines"] == [line, *["and so on"] * 5]

    def test_a_crash_loop_shows_its_last_lines(
        self, call: RunCommand, account: PlatformStandIn, endpoint: dict[str, Any]
    ) -> None:
        account.workers[endpoint["id"]] = [worker("w1", "INITIALIZING")]
        account.logs["w1"] = log_lines(*["start container", "RuntimeError: what is this"] * 3)

        (found,) = problems(call)

        assert "again and again" in found["message"]
        assert found["lines"][-1] == "RuntimeError: what is this"

    @pytest.mark.parametrize(
        "state", [{"status": "UNHEALTHY"}, {"status": "INITIALIZING", "uptimeSeconds": 7200}]
    )
    def test_a_worker_that_does_not_become_ready_is_named(
        self, state: dict[str, Any], call: RunCommand, account: PlatformStandIn, endpoint: dict[str, Any]
    ) -> None:
        account.workers[endpoint["id"]] = [worker("w1", **state)]
        account.logs["w1"] = log_lines("something odd")

        (found,) = problems(call)

        assert found["lines"] == ["something odd"]

    def test_a_worker_that_starts_is_no_problem(
        self, call: RunCommand, account: PlatformStandIn, endpoint: dict[str, Any]
    ) -> None:
        account.workers[endpoint["id"]] = [
            worker("w1", "INITIALIZING"),
            worker("w2", "THROTTLED", isStale=True),
        ]
        account.logs["w1"] = log_lines("pulling image")

        shown = call("doctor")

        assert "w1 is starting" in shown
        assert "pulling image" in shown
        assert "w2 waits for a free machine" in shown
        assert "w2 runs an older configuration" in shown

    def test_secrets_in_a_log_are_not_shown(
        self, call: RunCommand, account: PlatformStandIn, endpoint: dict[str, Any]
    ) -> None:
        endpoint["env"]["BUCKET_NAME"] = "made-up-0-value"
        account.workers[endpoint["id"]] = [worker("w1", "UNHEALTHY")]
        account.logs["w1"] = log_lines(
            "login with hf_AbCdEfGhIjKlMnOp",
            "amqps://me:pass-word@broker failed",
            "made-up-0-value was wrong",
        )

        shown = call("doctor", code=1)

        assert "login with ***" in shown
        assert "amqps://***@broker" in shown
        for secret in ("AbCdEf", "pass-word", "made-up-0-value"):
            assert secret not in shown

    def test_what_a_worker_says_of_itself_is_a_finding(
        self, call: RunCommand, account: PlatformStandIn, endpoint: dict[str, Any]
    ) -> None:
        account.workers[endpoint["id"]] = [worker("w1", "RUNNING")]
        account.answers["health"] = {
            **HEALTH,
            "version": "0.0.1",
            "checks": [{"name": "gpu", "ok": False, "detail": "no GPU answers"}],
            "disk_usage": {"parts": [{"name": "models", "size_bytes": 95_000_000_000, "files": 3}]},
        }

        told = findings(call, code=1)

        messages = [each["message"] for each in told["findings"] if each["severity"] != "ok"]
        assert "gpu: no GPU answers" in messages
        assert "95.0 of 100 GB of the volume are used." in messages
        assert f"The worker is lorapod 0.0.1, this client {__version__}." in messages

    def test_a_worker_that_does_not_answer_is_noted(
        self, call: RunCommand, account: PlatformStandIn, endpoint: dict[str, Any]
    ) -> None:
        account.workers[endpoint["id"]] = [worker("w1", "IDLE")]

        assert "could not be looked at: no health" in call("doctor")


class TestQueue:
    @pytest.mark.parametrize(
        ("workers", "max_workers", "told", "code"),
        [
            ([], 0, "max workers is 0", 1),
            (["UNHEALTHY"], 2, "workers do not become ready", 1),
            (["THROTTLED"], 2, "no machine is free (ADA_24, ADA_48_PRO in EU-RO-1)", 1),
            (["INITIALIZING"], 2, "a worker is starting", 0),
            ([], 2, "RunPod has started no worker so far", 0),
        ],
    )
    def test_why_jobs_wait(
        self,
        *,
        workers: list[str],
        max_workers: int,
        told: str,
        code: int,
        call: RunCommand,
        account: PlatformStandIn,
        endpoint: dict[str, Any],
    ) -> None:
        endpoint["workers"]["max"] = max_workers
        account.workers[endpoint["id"]] = [worker(f"w{at}", state) for at, state in enumerate(workers)]
        account.logs |= {f"w{at}": [] for at in range(len(workers))}
        account.queues[endpoint["id"]] = queue_state(in_queue=3)

        shown = call("doctor", code=code)

        assert f"3 job(s) wait and none runs{'' if code else ' yet'}: {told}" in shown

    def test_a_data_center_without_free_gpus_is_named(
        self, call: RunCommand, account: PlatformStandIn, endpoint: dict[str, Any]
    ) -> None:
        account.queues[endpoint["id"]] = queue_state(in_queue=1)
        for gpu in account.gpus:
            for place in gpu.get("dataCenters", []):
                place["availability"] = "NONE"

        (found,) = problems(call)

        assert "no machine is free" in found["message"]

    def test_jobs_behind_others_are_no_problem(
        self, call: RunCommand, account: PlatformStandIn, endpoint: dict[str, Any]
    ) -> None:
        account.queues[endpoint["id"]] = queue_state(in_queue=2, in_progress=1)

        assert "2 job(s) wait behind 1 that run" in call("doctor")


class TestAccess:
    def test_a_wrong_key_is_a_finding(self, call: RunCommand, endpoint: dict[str, Any]) -> None:
        shown = call("doctor", code=1, key="rpa_other")

        assert "problem  key: RunPod does not accept the API key" in shown
        assert "rpa_other" not in shown

    def test_no_key_is_a_finding(self, call: RunCommand, endpoint: dict[str, Any]) -> None:
        assert "RUNPOD_API_KEY" in call("doctor", code=1, key="")

    def test_an_endpoint_that_is_not_there_is_named_with_those_that_are(
        self, call: RunCommand, endpoint: dict[str, Any]
    ) -> None:
        shown = call("doctor", "--endpoint", "gone", code=1)

        assert "There is no endpoint gone in this account" in shown
        assert f"{endpoint['id']} (lorapod)" in shown

    @pytest.mark.parametrize("status", [403, 409, 422, 429, 500])
    def test_a_refusal_of_the_endpoint_is_a_finding(
        self, status: int, call: RunCommand, account: PlatformStandIn, endpoint: dict[str, Any]
    ) -> None:
        account.faults = [PlatformFault(status=status, detail="made up", retry_after="0")] * 3

        assert "made up" in call("doctor", code=1)

    @pytest.mark.parametrize("path", ["/workers", "/releases", "/network-volumes", "/health"])
    def test_a_part_that_cannot_be_read_is_noted_and_the_rest_is_told(
        self, path: str, call: RunCommand, account: PlatformStandIn, endpoint: dict[str, Any]
    ) -> None:
        account.faults = [PlatformFault(status=403, path=path, detail="made up")] * 3

        shown = call("doctor")

        assert "could not be looked at" in shown
        assert "ok       key" in shown

    @pytest.mark.parametrize(
        ("arguments", "told"), [((), "no endpoint is named"), (("--local", "--fix"), "nothing to change")]
    )
    def test_a_wrong_call_ends_with_2(self, arguments: tuple[str, ...], told: str, call: RunCommand) -> None:
        assert told in call("doctor", *arguments, code=2)

    def test_a_damaged_file_ends_with_2(self, call: RunCommand, folder: Path) -> None:
        (folder / "lorapod.toml").write_text("nonsense")

        assert "lorapod.toml" in call("doctor", code=2)


class TestGatedModel:
    @pytest.mark.parametrize(
        ("status", "told", "code"),
        [
            (200, "may read black-forest-labs/FLUX.1-dev", 0),
            (401, "does not accept this shell's HF_TOKEN", 1),
            (403, "has not accepted the terms of black-forest-labs/FLUX.1-dev", 1),
            (500, "answered 500", 0),
        ],
    )
    def test_the_hub_says_whether_the_terms_are_accepted(
        self,
        *,
        status: int,
        told: str,
        code: int,
        call: RunCommand,
        account: PlatformStandIn,
        endpoint: dict[str, Any],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        call("deploy", "--yes", "--preset", "flux-dev", "--secret", "HF_TOKEN")
        monkeypatch.setenv("HF_TOKEN", "hf_made_up")
        monkeypatch.setenv("HF_ENDPOINT", f"{account.url}/hub")
        account.hub_status = status

        shown = call("doctor", code=code)

        assert told in shown
        assert "hf_made_up" not in shown


class TestLocal:
    def test_a_good_endpoint_of_this_machine_is_well(
        self, call: RunCommand, account: PlatformStandIn, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        account.queues["local"] = queue_state()
        account.answers["health"] = HEALTH
        monkeypatch.setenv("LORAPOD_URL", f"{account.url}/queue/local")

        shown = call("doctor", "--local")

        assert "w1 says that it is well" in shown
        assert "No job waits" in shown

    def test_a_worker_that_ends_during_its_start_is_a_problem(
        self, call: RunCommand, account: PlatformStandIn, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        account.queues["local"] = queue_state(in_queue=1)
        monkeypatch.setenv("LORAPOD_URL", f"{account.url}/queue/local")

        assert "workers end during their start" in call("doctor", "--local", code=1)

    def test_without_an_endpoint_it_says_how_to_start_one(
        self, call: RunCommand, free_port_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("LORAPOD_URL", free_port_url)

        shown = call("doctor", "--local", code=1)

        assert "No endpoint answers" in shown
        assert "lorapod endpoint --port 8080" in shown


class TestFrontDoor:
    @pytest.fixture
    def door(self, call: RunCommand, account: PlatformStandIn, endpoint: dict[str, Any]) -> dict[str, Any]:
        """The front door beside the endpoint."""
        call("deploy", "--yes", "--front-door", "cpu")
        (made,) = (each for each in account.endpoints.values() if "cpu" in each)
        return made

    def test_a_good_one_is_well(self, call: RunCommand, door: dict[str, Any]) -> None:
        assert f"ok       front door: lorapod-front-door ({door['id']})" in call("doctor")

    def test_one_that_was_scaled_down_lets_requests_wait_for_ever(
        self, call: RunCommand, door: dict[str, Any]
    ) -> None:
        door["workers"]["max"] = 0

        (found,) = problems(call)

        assert found["check"] == "front door"
        assert "wait for ever" in found["message"]
        assert found["mend"] == f"lorapod doctor --endpoint {door['id']} --fix"
        call(*found["mend"].split()[1:])
        assert "problem" not in call("doctor")
        assert door["workers"]["max"] == 1

    def test_one_that_is_gone_is_named(
        self, call: RunCommand, account: PlatformStandIn, door: dict[str, Any]
    ) -> None:
        del account.endpoints[door["id"]]

        (found,) = problems(call)

        assert "There is no endpoint" in found["message"]
        assert found["mend"] == "lorapod deploy --front-door cpu"

    @pytest.mark.parametrize("said", [None, "another"])
    def test_one_that_does_not_know_its_endpoint_might_train(
        self, call: RunCommand, door: dict[str, Any], said: str | None
    ) -> None:
        del door["env"]["FRONT_DOOR_OF"]
        if said is not None:
            door["env"]["FRONT_DOOR_OF"] = said

        (found,) = problems(call)

        assert "FRONT_DOOR_OF" in found["message"]
        call("deploy", "--yes")
        assert "problem" not in call("doctor")

    def test_one_on_another_volume_sees_no_files(self, call: RunCommand, door: dict[str, Any]) -> None:
        door["networkVolumes"] = []

        (found,) = problems(call)

        assert "another volume" in found["message"]
        assert found["mend"] == "lorapod deploy"

    def test_of_another_endpoint_nothing_is_said(
        self, call: RunCommand, account: PlatformStandIn, door: dict[str, Any]
    ) -> None:
        door["workers"]["max"] = 0

        (found,) = problems(call, "--endpoint", door["id"])

        assert found["check"] == "max workers"
