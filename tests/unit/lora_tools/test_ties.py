"""TIES as peft computes it, on matrices that are merged in parts."""

from __future__ import annotations

import math
from contextlib import nullcontext

import pytest

torch = pytest.importorskip("torch", reason="needs the `builtin` extra")
pytest.importorskip("peft", reason="needs the `builtin` extra")

from lorapod.lora_tools.child import ties as ours  # noqa: E402

pytestmark = pytest.mark.torch


@pytest.mark.parametrize("density", [0.0001, 0.3, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("shape", [(7, 5), (600, 400)])
def test_it_is_what_peft_computes(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int], density: float
) -> None:
    from peft.utils.merge_utils import ties

    monkeypatch.setattr(ours, "_CHUNK", 1 << 10)
    monkeypatch.setattr(ours, "_SAMPLE", 1 << 12)
    torch.manual_seed(3)
    # No two values are equal, so that both keep the same ones.
    changes = [
        (torch.randperm(math.prod(shape)).reshape(shape) + 1) * torch.randn(shape).sign() / 7
        for _ in range(3)
    ]
    weights = [1.0, -0.5, 0.25]
    with pytest.warns(UserWarning, match="density") if density == 1 else nullcontext():
        expected = ties(changes, torch.tensor(weights), density)
    assert torch.allclose(ours.merge_by_ties(changes, weights, density), expected, atol=1e-4)


def test_a_wrong_guess_of_the_limit_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(4)
    change = torch.randn(300, 300)
    right = ours.smallest_kept(change, 0.2)
    for wrong in ((0.0, 0.0), (9.0, 9.5), (-2.0, -1.0)):
        monkeypatch.setattr(ours, "_bracket", lambda *_, wrong=wrong: wrong)
        assert ours.smallest_kept(change, 0.2) == right


@pytest.mark.parametrize("value", [0.0, 2.0])
def test_equal_values_are_all_kept(value: float) -> None:
    change = torch.full((400, 400), value)
    assert torch.equal(ours.merge_by_ties([change], [0.5], 0.5), change / 2)
