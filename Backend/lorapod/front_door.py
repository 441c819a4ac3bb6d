"""What a front door's worker refuses, and where it sends the caller: it has a volume, but no GPU and no trainer."""

from __future__ import annotations

from dataclasses import dataclass

from lorapod.errors import Unsupported
from lorapod.wire.front_door import FRONT_DOOR_PROCESSES, REFUSED_ACTIONS


@dataclass(frozen=True, kw_only=True)
class FrontDoorRules:
    """The rules of this worker."""

    #: Id of the endpoint with the GPUs; None: this worker is no front door, and everything may run.
    gpu_endpoint: str | None

    def check_action(self, type_: str) -> None:
        """Refuse an action that needs the other endpoint.

        Raises:
            Unsupported: it names that endpoint.
        """
        if self.gpu_endpoint is not None and type_ in REFUSED_ACTIONS:
            raise self._refusal(f"`{type_}`")

    def check_process(self, type_: str) -> None:
        """Refuse to run a process of this type, whatever asks for it.

        Raises:
            Unsupported: it names the other endpoint.
        """
        if self.gpu_endpoint is not None and type_ not in FRONT_DOOR_PROCESSES:
            raise self._refusal(f"A process of type {type_!r}")

    def _refusal(self, what: str) -> Unsupported:
        return Unsupported(
            f"{what} runs on the endpoint {self.gpu_endpoint}, not here: this worker is its front door, which has no GPU.",
            hint=f"Send it to https://api.runpod.ai/v2/{self.gpu_endpoint}/run. The client sends each request to the right "
            "endpoint if it knows both: see `lorapod deploy --front-door cpu`.",
        )
