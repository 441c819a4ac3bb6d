"""The referee judges, and every field that is read or sent is one that RunPod's specification has."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Any

import pytest
import urllib3
from pydantic import BaseModel
from tests.servers.platform import KEY, PlatformStandIn, standing_in
from tests.servers.platform_referee import specification

from lorapod.platform import billing, models, requests
from lorapod.platform.worker_log import WorkerLogLine

#: The specification's name of each model that has another one.
SCHEMAS = {
    "StockPlace": "DataCenterAvailability",
    "CpuFlavor": "CpuType",
    "EndpointGpu": "EndpointGpuConfig",
    "EndpointCpu": "CpuConfig",
    "WorkerLimits": "EndpointWorkers",
    "QueueUrls": "QueueBasedRequestUrls",
    "ServerlessEndpoint": "Endpoint",
    "EndpointWorker": "Worker",
    "EndpointRelease": "Release",
    "ReleaseChange": "ReleaseDiffEntry",
    "GpuChoice": "UpdateEndpointGpuConfig",
    "CpuChoice": "CreateCpuConfig",
    "WorkerChoice": "EndpointWorkers",
    "QueueDelay": "QueueDelayScaling",
    "EndpointSettings": "CreateEndpointRequest",
    "VolumeOrder": "CreateNetworkVolumeRequest",
    "ServerlessBill": "ServerlessBillingRecord",
    "VolumeBill": "NetworkVolumeBillingRecord",
}
#: Parts of a schema without a name of their own.
PARTS = {
    "GpuPrice": ("GpuType", "price"),
    "CpuPrice": ("CpuType", "price"),
    "CpuRange": ("CpuType", "vcpu"),
}


def defined() -> Iterator[type[BaseModel]]:
    bases = {BaseModel, models.PlatformModel, requests.PlatformRequest}
    for module in (billing, models, requests):
        for each in vars(module).values():
            if isinstance(each, type) and issubclass(each, BaseModel) and each not in bases:
                yield each


def properties(schema: dict[str, Any]) -> dict[str, Any]:
    """All properties of a schema, those of its parts too."""
    if "$ref" in schema:
        return properties(specification()["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]])
    found = dict(schema.get("properties", {}))
    for part in schema.get("allOf", ()):
        found |= properties(part)
    return found


@pytest.mark.parametrize("model", list(defined()), ids=lambda model: str(model.__name__))
def test_every_field_is_one_that_the_specification_has(model: type[BaseModel]) -> None:
    schemas = specification()["components"]["schemas"]
    if model.__name__ in PARTS:
        whole, part = PARTS[model.__name__]
        known = properties(properties(schemas[whole])[part])
    else:
        known = properties(schemas[SCHEMAS.get(model.__name__, model.__name__)])

    assert known
    assert {field.alias for field in model.model_fields.values()} - set(known) == set()


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (models.Stock, "AvailabilityLevel"),
        (models.FlashBoot, "FlashBoot"),
        (models.WorkerCondition, "WorkerStatus"),
        (billing.BillingPeriod, "BillingBucketSize"),
    ],
)
def test_a_closed_list_is_the_specifications(ours: type[StrEnum], theirs: str) -> None:
    assert [str(each) for each in ours] == specification()["components"]["schemas"][theirs]["enum"]


def test_lines_of_a_log_have_the_documented_fields() -> None:
    assert set(WorkerLogLine.model_fields) == {"source", "line", "ts"}


class TestReferee:
    @pytest.mark.parametrize(
        ("method", "path", "body", "breach"),
        [
            ("POST", "/v2/serverless", {"name": "x"}, "'image' is a required property"),
            (
                "POST",
                "/v2/network-volumes",
                {"name": "x", "size": 5, "dataCenter": "y"},
                "less than the minimum",
            ),
            ("PATCH", "/v2/serverless/ep1", {"worker": {}}, "'worker' was unexpected"),
            ("GET", "/v2/catalog/gpus?include=PRICES", None, "'PRICES' is not one of"),
            ("GET", "/v2/catalog/gpus?available=1", None, "unknown query parameters: ['available']"),
            ("GET", "/v2/nothing", None, "Path not found"),
        ],
    )
    def test_a_wrong_request_is_refused(
        self, method: str, path: str, body: Any, breach: str, account: PlatformStandIn
    ) -> None:
        answer = urllib3.request(
            method, account.url + path, json=body, headers={"Authorization": f"Bearer {KEY}"}
        )

        assert answer.status == 422
        (found,) = account.referee.breaches
        assert breach in found
        account.referee.breaches.clear()

    def test_a_wrong_answer_fails_the_test(self) -> None:
        def ask() -> None:
            with standing_in() as account:
                account.volumes["v"] = {"id": "v"}
                url, headers = f"{account.url}/v2/network-volumes", {"Authorization": f"Bearer {KEY}"}
                urllib3.request("GET", url, headers=headers)

        with pytest.raises(AssertionError, match="'name' is a required property"):
            ask()
