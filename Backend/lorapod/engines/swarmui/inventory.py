"""The parameters and models that a SwarmUI knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lorapod.engines.swarmui.session import SwarmCaller

#: Names that it reads beside its parameters.
_BESIDE = frozenset({"presets", "extrametadata", "sessionid"})

#: Names that it still takes for others; its list does not show them.
_FORMER = frozenset({"saveintermediateimages", "textvideofps", "textvideoboomerang", "textvideoformat"})

#: What SwarmUI itself offers to download first.
_USUAL_MODEL = "sd_xl_base_1.0.safetensors"

#: What parameters of a workflow of the user's own begin with.
_OF_WORKFLOWS = "comfy"


def plain_name(name: str) -> str:
    """Return a parameter's name as SwarmUI reads it: small letters only, so that `cfg_scale` is `cfgscale`."""
    return "".join(letter for letter in name.lower() if "a" <= letter <= "z")


def plain_model(name: str) -> str:
    """Return a model's name as SwarmUI compares it: in small letters, without suffix, spaces and brackets."""
    bare = name.removesuffix(".safetensors").lower()
    return bare.translate({ord(letter): None for letter in " []"})


@dataclass(frozen=True, kw_only=True)
class SwarmInventory:
    """One answer of `ListT2IParams`."""

    parameters: frozenset[str]
    #: Names with their suffix, by SwarmUI's kind of model (`Stable-Diffusion`, `LoRA`, …).
    models: Mapping[str, Sequence[str]]

    @classmethod
    def read(cls, answer: Mapping[str, Any]) -> SwarmInventory:
        """Read it; what has another form is left out."""
        listed = answer.get("list")
        models = answer.get("models")
        return cls(
            parameters=frozenset(
                str(entry["id"])
                for entry in (listed if isinstance(listed, list) else [])
                if isinstance(entry, dict) and "id" in entry
            ),
            models={
                str(kind): tuple(_names(entries))
                for kind, entries in (models if isinstance(models, dict) else {}).items()
            },
        )

    def first_choice(self) -> str | None:
        """Return the default base model: SDXL if it is there, else the first; None without a base model."""
        names = sorted(self.models.get("Stable-Diffusion", ()))
        return next((name for name in names if name.endswith(_USUAL_MODEL)), names[0] if names else None)

    def unknown(self, names: Iterable[str]) -> list[str]:
        """Return those of `names` that SwarmUI would ignore silently; empty if its list is not known."""
        known = self.parameters | _BESIDE | _FORMER
        return [
            name
            for name in names
            if self.parameters
            and plain_name(name) not in known
            and not plain_name(name).startswith(_OF_WORKFLOWS)
        ]

    def instead_of(self, kind: str, name: str) -> str | None:
        """Return the model that SwarmUI would use for a name that it does not have: the shortest that contains it.

        None if it has exactly that model, in any folder, or none like it.
        """
        wanted = plain_model(name)
        plain = {known: plain_model(known) for known in self.models.get(kind, ())}
        alike = [known for known, bare in plain.items() if wanted in bare]
        taken = min(alike, key=lambda known: len(plain[known]), default=None)
        if wanted in plain.values() or taken is None or plain[taken].endswith(f"/{wanted}"):
            return None
        return taken


async def inventory(caller: SwarmCaller, *, refresh: bool = False) -> SwarmInventory:
    """Return what SwarmUI knows now; with `refresh`, have it search its folders first.

    It ignores a refresh within ten seconds of the last one.
    """
    if refresh:
        return SwarmInventory.read(await caller.call("TriggerRefresh", {"strong": True}, timeout_s=300.0))
    return SwarmInventory.read(await caller.call("ListT2IParams"))


def _names(entries: Any) -> list[str]:
    """Return the names in a list of `[name, class]`."""
    if not isinstance(entries, list):
        return []
    return [str(entry[0]) for entry in entries if isinstance(entry, list) and entry]
