"""One generation at SwarmUI, which may still be starting."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lorapod.clock import Clock
from lorapod.engines.port import Generation, GenerationProgress, GenerationResult, GenerationRun
from lorapod.engines.swarmui.generating import SwarmGeneration
from lorapod.engines.swarmui.inventory import SwarmInventory, inventory, plain_name
from lorapod.engines.swarmui.loras import LoraFolder, seen
from lorapod.engines.swarmui.options import SwarmOptions
from lorapod.engines.swarmui.parameters import batch_size, parameters, unknown
from lorapod.engines.swarmui.readiness import ready
from lorapod.engines.swarmui.session import SwarmCaller
from lorapod.engines.swarmui.stopping import stoppable
from lorapod.safety.part_file import DiskBudget

#: The largest file that is fetched from SwarmUI.
RESULT_MAX_BYTES = 20_000_000_000

_NO_PREVIEWS = "nopreviews"

#: Longest that LoRAs may take on their way to SwarmUI, once it answers.
_LORAS_S = 900.0


@dataclass(frozen=True, kw_only=True)
class SwarmRequest:
    """What is asked of a server that can answer it."""

    #: The parameters, but for the number of images.
    asked: Mapping[str, Any]
    #: What the caller should know, a sentence each.
    warnings: Sequence[str]
    #: How long it took.
    ready_s: float

    @property
    def model(self) -> str | None:
        """The base model that is asked for."""
        named = next((value for name, value in self.asked.items() if plain_name(name) == "model"), None)
        return None if named is None else str(named)


@dataclass(frozen=True, kw_only=True)
class SwarmWork:
    """Has SwarmUI make what a generation asks for."""

    caller: SwarmCaller
    generation: Generation
    run: GenerationRun
    options: SwarmOptions
    clock: Clock

    async def get_ready(self, patience_s: float) -> SwarmRequest:
        """Wait for the server, and put every LoRA where it finds it.

        Raises:
            GenerationStopped: it was stopped.
            WorkerError: the server is not ready within `patience_s`, or a LoRA cannot be handed over.
            OSError: the disk failed.
        """
        began_s = self.clock.monotonic()
        known, names = await stoppable(
            self._get_ready(min(patience_s, self.options.startup_timeout_s)),
            stopped=self.run.stopped,
            interrupt=None,
            within_s=patience_s + _LORAS_S,
            what="Getting SwarmUI ready",
        )
        asked = parameters(self.generation, names)
        warnings = []
        if "model" not in map(plain_name, asked) and (model := known.first_choice()) is not None:
            asked["model"] = model
            warnings.append(f"No model was named, so SwarmUI was asked for {model!r}.")
        warnings += unknown(asked, known)
        if _NO_PREVIEWS in known.parameters and _NO_PREVIEWS not in map(plain_name, asked):
            # Previews are not used, and each costs SwarmUI a decoding and a message.
            asked[_NO_PREVIEWS] = True
        return SwarmRequest(asked=asked, warnings=warnings, ready_s=self.clock.monotonic() - began_s)

    async def generate(self, ready: SwarmRequest) -> GenerationResult:
        """Make the images.

        Raises:
            GenerationStopped: it was stopped.
            WorkerError: SwarmUI refused, failed, or took too long.
            OSError: the disk failed.
        """
        began_s = self.clock.monotonic()
        generating = SwarmGeneration(
            caller=self.caller,
            generation=self.generation,
            run=self.run,
            asked=ready.asked,
            room=DiskBudget(max_bytes=RESULT_MAX_BYTES, keep_free_bytes=self.options.keep_free_bytes),
            clock=self.clock,
            within_s=self.options.generation_timeout_s,
        )
        files = await stoppable(
            generating.images(),
            stopped=self.run.stopped,
            interrupt=generating.interrupt,
            within_s=self.options.generation_timeout_s,
            what="The generation",
        )
        warnings = list(ready.warnings)
        expected = self.generation.num_images * batch_size(ready.asked)
        if len(files) < expected:
            warnings.append(f"SwarmUI made {len(files)} of {expected} images: the others were refused there.")
        took_s = self.clock.monotonic() - began_s
        return GenerationResult(
            files=files,
            warnings=warnings,
            timings={"ready_s": round(ready.ready_s, 3), "generate_s": round(took_s, 3)},
        )

    async def _get_ready(self, patience_s: float) -> tuple[SwarmInventory, Sequence[str]]:
        """Answers what SwarmUI knows, and the LoRAs' names there."""

        def report(sentence: str) -> None:
            self.run.log(sentence)
            self.run.report(GenerationProgress(detail="waiting for SwarmUI"))

        await ready(self.caller, patience_s=patience_s, clock=self.clock, report=report)
        known = await inventory(self.caller)
        loras = self.generation.loras
        if not loras:
            return known, []
        folder = LoraFolder(
            path=await self.options.roots.lora_folder(self.caller),
            keep_free_bytes=self.options.keep_free_bytes,
        )
        names = [await asyncio.to_thread(folder.place, lora) for lora in loras]
        return await seen(self.caller, names, known, self.clock), names
