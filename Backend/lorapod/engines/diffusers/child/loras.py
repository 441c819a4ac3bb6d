"""The LoRAs of one pipeline: loaded once, kept for a while, and combined for each generation."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open

from lorapod.engines.diffusers.messages import Lora
from lorapod.errors import ErrorCode, InvalidInput, Unsupported
from lorapod.library_errors import code_of

#: How many LoRAs stay loaded that are not in use: they cost memory, but no time.
KEPT = 4

#: Of each layer's tensors, the one that is counted.
_LOKR = (".lokr_w1", ".lokr_w1_a")
_DOWN = (".lora_A.", ".lora_down.", ".lora.down.", "_lora.down.")


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """One LoRA that is loaded."""

    name: str
    #: What a caller should know of it.
    warning: str | None = None


class LoadedLoras:
    """Adapters on one pipeline. The base model is never loaded again, and its weights never change."""

    def __init__(self, pipeline: Any, *, model: str) -> None:
        """Begin without LoRAs; `model` is the name for messages."""
        self._pipeline = pipeline
        self._model = model
        #: Adapters by what they were loaded from, the last used last.
        self._adapters: OrderedDict[tuple[str, str], Adapter] = OrderedDict()
        self._count = 0

    def use(self, loras: Sequence[Lora]) -> Sequence[str]:
        """Use exactly these LoRAs, each with its weight, or the sum if it is listed twice; return warnings.

        Raises:
            InvalidInput: one does not fit the model; then no LoRA is in use.
            Unsupported: the model takes no LoRA.
        """
        if not loras and not self._adapters:
            return []
        if not hasattr(self._pipeline, "load_lora_weights"):
            raise Unsupported(f"The model {self._model} takes no LoRA.")
        weights: dict[str, float] = {}
        warnings: list[str] = []
        for lora in loras:
            adapter = self._adapter(lora)
            weights[adapter.name] = weights.get(adapter.name, 0.0) + lora.weight
            if adapter.warning and adapter.warning not in warnings:
                warnings.append(adapter.warning)
        self._forget({(str(lora.path), lora.stamp) for lora in loras})
        if weights:
            self._pipeline.enable_lora()
            self._pipeline.set_adapters(list(weights), list(weights.values()))
        elif self._adapters:
            self._pipeline.disable_lora()
        return warnings

    @property
    def loaded(self) -> Sequence[str]:
        """The adapters that are loaded, the last used last."""
        return [adapter.name for adapter in self._adapters.values()]

    def _adapter(self, lora: Lora) -> Adapter:
        key = (str(lora.path), lora.stamp)
        if key not in self._adapters:
            self._count += 1
            self._adapters[key] = self._load(lora, f"lora_{self._count}")
        self._adapters.move_to_end(key)
        return self._adapters[key]

    def _load(self, lora: Lora, name: str) -> Adapter:
        try:
            self._pipeline.load_lora_weights(
                str(lora.path.parent),
                weight_name=lora.path.name,
                adapter_name=name,
                use_safetensors=True,
                local_files_only=True,
            )
        except (ValueError, KeyError, RuntimeError, TypeError, AttributeError, IndexError, OSError) as error:
            self._remove(name)
            if code_of(error) is not ErrorCode.INTERNAL:
                # The machine failed, not the file.
                raise
            raise self._unfit(lora, str(error)) from error
        held, given = self._layers(name), _layers_in(lora.path)
        if not held:
            self._remove(name)
            raise self._unfit(lora, "it has no layer that the model has")
        partly = f"Of the LoRA {lora.name} only {held} of {given} layers fit the model {self._model}."
        return Adapter(name=name, warning=partly if held < given else None)

    def _layers(self, name: str) -> int:
        """Return how many of the model's layers an adapter changes."""
        modules = (
            module
            for part in self._pipeline.components.values()
            if hasattr(part, "modules")
            for module in part.modules()
        )
        # Each layer of peft lists the names under which LoRA and LoKr keep their weights.
        return sum(
            any(name in getattr(module, kind, ()) for kind in getattr(module, "adapter_layer_names", ()))
            for module in modules
        )

    def _remove(self, adapter: str) -> None:
        """Remove what a failed load may have left."""
        names = {name for names in self._pipeline.get_list_adapters().values() for name in names}
        if adapter in names:
            self._pipeline.delete_adapters(adapter)

    def _unfit(self, lora: Lora, reason: str) -> InvalidInput:
        lines = [line.strip() for line in reason.splitlines() if line.strip()] or ["it cannot be read"]
        # A line that ends in a colon is only a heading.
        first = next((line for line in lines if not line.endswith(":")), lines[0])
        return InvalidInput(
            f"The LoRA {lora.name} does not fit the model {self._model}: {first[:300].rstrip('.:')}.",
            hint="Use it with the kind of base model that it was trained on.",
        )

    def _forget(self, used: set[tuple[str, str]]) -> None:
        """Drop the least used, and those whose file has changed."""
        paths = {path for path, _ in used}
        stale = [key for key in self._adapters if key not in used and key[0] in paths]
        idle = [key for key in self._adapters if key not in used and key not in stale]
        for key in [*stale, *idle[: max(0, len(idle) - KEPT)]]:
            self._pipeline.delete_adapters(self._adapters.pop(key).name)


def _layers_in(path: Path) -> int:
    """Return how many layers a LoRA's file is for."""
    with safe_open(path, framework="numpy") as file:
        names = list(file.keys())
    return sum(name.endswith(_LOKR) or any(part in name for part in _DOWN) for name in names)
