from __future__ import annotations

from typing import Any

import pytest

from lorapod.engines.comfyui.failures import NodeFailed, PromptInterrupted, check_end
from lorapod.errors import OutOfMemory

TENSOR = "tensor([[[[0.1, 0.2],\n [0.3, 0.4]]]], device='cuda:0')"


def entry(*messages: list[Any], status: str = "error") -> dict[str, Any]:
    return {"status": {"status_str": status, "completed": False, "messages": list(messages)}}


def error(**event: Any) -> dict[str, Any]:
    given = {
        "node_id": "5",
        "node_type": "KSampler",
        "exception_type": "ValueError",
        "exception_message": "no\n",
        "traceback": ["  File x.py"],
        "current_inputs": {"latent": [TENSOR]},
    }
    return entry(["execution_start", {}], ["execution_error", {**given, **event}])


def test_success_says_nothing() -> None:
    check_end(entry(status="success"))


def test_an_interrupt_is_told_from_an_error_by_its_message() -> None:
    with pytest.raises(PromptInterrupted):
        check_end(entry(["execution_interrupted", {"node_id": "5"}]))


def test_an_error_names_node_class_and_message_only() -> None:
    with pytest.raises(NodeFailed) as failed:
        check_end(error())

    assert failed.value.message == "Node 5 (KSampler) failed with ValueError: no"
    assert not failed.value.retryable
    assert "x.py" not in str(failed.value.details)


def test_tensors_in_a_message_are_cut() -> None:
    with pytest.raises(NodeFailed) as failed:
        check_end(error(exception_message=f"bad {TENSOR} shape {'x' * 2000}"))

    assert "tensor(…)" in failed.value.message
    assert "0.3" not in failed.value.message
    assert len(failed.value.message) < 600


@pytest.mark.parametrize(
    "event",
    [
        {"exception_type": "torch.OutOfMemoryError"},
        {"exception_type": "torch.cuda.OutOfMemoryError"},
        {"exception_message": "Allocation on device 0 would exceed allowed memory."},
        {"exception_type": "RuntimeError", "exception_message": "CUDA out of memory. Tried to allocate"},
        {"exception_type": "RuntimeError", "exception_message": "DefaultCPUAllocator: can't allocate memory"},
    ],
)
def test_a_lack_of_memory_has_a_code_of_its_own(event: dict[str, Any]) -> None:
    with pytest.raises(OutOfMemory, match="Node 5"):
        check_end(error(**event))


def test_an_error_without_a_message_is_an_error_all_the_same() -> None:
    with pytest.raises(NodeFailed, match="not why"):
        check_end(entry())
