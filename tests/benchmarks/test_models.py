"""What a list of thousands of models costs."""

from __future__ import annotations

import json
import statistics
import struct
import time
from pathlib import Path

import pytest
from tests.benchmarks.report import Report

from lorapod.files.digests import DigestBook
from lorapod.models.catalog import WorkspaceModels
from lorapod.models.kinds import ModelKind
from lorapod.workspace import Workspace

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(300)]

MODELS = 2000

#: As many tensors as a small LoRA has.
TENSORS = 300


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace.create(tmp_path / "workspace")
    header = {"__metadata__": {"ss_network_dim": "16"}} | {
        f"unet.block.{number}.lora_A.weight": {"dtype": "F16", "shape": [1], "data_offsets": [0, 2]}
        for number in range(TENSORS)
    }
    text = json.dumps(header).encode()
    content = struct.pack("<Q", len(text)) + text + bytes(2)
    for number in range(MODELS):
        folder = workspace.models / f"loras/{number // 100}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.safetensors").write_bytes(content)
    return workspace


def listed_s(catalog: WorkspaceModels, limit: int) -> float:
    began = time.perf_counter()
    page = catalog.page(kind=ModelKind.LORA, limit=limit, cursor=None)
    assert len(page.models) == limit
    return time.perf_counter() - began


def test_a_page_costs_its_own_headers_and_a_second_worker_none(workspace: Workspace, report: Report) -> None:
    """Against reading every header: a first page at most 0.2, a whole list by a second worker at most 0.35."""
    first_page = listed_s(WorkspaceModels(workspace=workspace, digests=DigestBook(workspace=workspace)), 100)
    every_header = listed_s(
        WorkspaceModels(workspace=workspace, digests=DigestBook(workspace=workspace)), MODELS
    )
    second = [
        listed_s(WorkspaceModels(workspace=workspace, digests=DigestBook(workspace=workspace)), MODELS)
        for _ in range(3)
    ]
    against = "reading every header"
    report(
        f"First page of 100 of {MODELS} LoRAs",
        first_page,
        "s",
        against=against,
        reference=every_header,
        ratio_at_most=0.2,
    )
    report(
        "All of them by a second worker",
        statistics.median(second),
        "s",
        against=against,
        reference=every_header,
        ratio_at_most=0.35,
    )
