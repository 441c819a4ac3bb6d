"""The LoRAs of one pipeline: loaded once, kept for a while, mixed anew for each generation."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from lorapod.engines.diffusers.messages import Lora
from lorapod.errors import InvalidInput, Unsupported

#: So many stay loaded, beside those in use. One that is not in use costs memory, but no time.
KEPT = 4


class LoraShelf:
    """Adapters on one pipeline. The base model is never loaded again, and its weights never change."""

    def __init__(self, pipeline: Any, *, model: str) -> None:
        """Begin with none; `model` is what complaints call the pipeline's."""
        self._pipeline = pipeline
        self._model = model
        #: Adapters by what they were loaded from, the last used last.
        self._adapters: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._count = 0

    def use(self, loras: Sequence[Lora]) -> None:
        """Have exactly these act, each with its weight; what stands twice acts with the sum.

        Raises:
            InvalidInput: one does not fit the model; none is in use then.
            Unsupported: the model takes none.
        """
        if not loras and not self._adapters:
            return
        if not hasattr(self._pipeline, "load_lora_weights"):
            raise Unsupported(f"The model {self._model} takes no LoRA.")
        weights: dict[str, float] = {}
        for lora in loras:
            adapter = self._adapter(lora)
            weights[adapter] = weights.get(adapter, 0.0) + lora.weight
        self._forget({(str(lora.path), lora.stamp) for lora in loras})
        if weights:
            self._pipeline.enable_lora()
            self._pipeline.set_adapters(list(weights), list(weights.values()))
        elif self._adapters:
            self._pipeline.disable_lora()

    @property
    def loaded(self) -> Sequence[str]:
        """The adapters that are loaded, the last used last."""
        return list(self._adapters.values())

    def _adapter(self, lora: Lora) -> str:
        key = (str(lora.path), lora.stamp)
        if key not in self._adapters:
            self._count += 1
            adapter = f"lora_{self._count}"
            self._load(lora, adapter)
            self._adapters[key] = adapter
        self._adapters.move_to_end(key)
        return self._adapters[key]

    def _load(self, lora: Lora, adapter: str) -> None:
        try:
            self._pipeline.load_lora_weights(
                str(lora.path.parent),
                weight_name=lora.path.name,
                adapter_name=adapter,
                use_safetensors=True,
                local_files_only=True,
            )
        except (ValueError, KeyError, RuntimeError, TypeError, AttributeError, IndexError, OSError) as error:
            if "out of memory" in str(error):
                raise
            self._remove(adapter)
            raise self._unfit(lora, str(error)) from error
        if adapter not in {name for names in self._pipeline.get_list_adapters().values() for name in names}:
            raise self._unfit(lora, "none of its layers is one of the model's")

    def _remove(self, adapter: str) -> None:
        """Take away what a load that failed may have left."""
        names = {name for names in self._pipeline.get_list_adapters().values() for name in names}
        if adapter in names:
            self._pipeline.delete_adapters(adapter)

    def _unfit(self, lora: Lora, reason: str) -> InvalidInput:
        first = next((line.strip() for line in reason.splitlines() if line.strip()), "it cannot be read")
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
            self._pipeline.delete_adapters(self._adapters.pop(key))
