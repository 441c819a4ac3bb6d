"""What generates: where it is, how long it may take, when it gives the GPU back."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, PositiveFloat, PositiveInt
from pydantic_settings import BaseSettings


class EngineSettings(BaseSettings):
    """What generates: where it is, how long it may take, when it gives the GPU back."""

    comfyui_path: Path | None = Field(
        default=None,
        description="ComfyUI's root, which is run from there, and its model folders linked to the workspace's; else /comfyui, "
        "/app/ComfyUI, <workspace>/ComfyUI.",
    )
    swarmui_path: Path | None = Field(
        default=None,
        description="SwarmUI's root, whose model folders are linked to the workspace's; else /app/SwarmUI, "
        "<workspace>/SwarmUI.",
    )
    comfyui_url: str = Field(
        default="http://127.0.0.1:8188",
        pattern=r"^https?://[^/?#@]+(/[^?#]*)?$",
        description="ComfyUI's address: the one that runs there is used, else one is started there.",
    )
    comfyui_python: Path | None = Field(
        default=None, description="The Python that runs ComfyUI; else the virtual environment in its root."
    )
    comfyui_args: str = Field(
        default="", description="More arguments for the ComfyUI that is started, as on a command line."
    )
    comfy_history_attempts: PositiveInt = Field(
        default=20,
        description="How often ComfyUI is asked for the results of a prompt that has ended, before it counts as failed.",
    )
    comfy_history_delay_seconds: PositiveFloat = Field(
        default=0.5, description="Seconds between two of those questions."
    )
    swarmui_api_url: str | None = Field(
        default=None, description="SwarmUI's address; else it is looked for at http://127.0.0.1:7801."
    )
    swarmui_models_path: Path | None = Field(
        default=None,
        description="SwarmUI's model folder as the worker sees it, for LoRAs; else the one that SwarmUI names.",
    )
    startup_timeout: PositiveFloat = Field(
        default=1800.0, description="Seconds that an engine which is being started is waited for."
    )
    generation_timeout: PositiveFloat = Field(
        default=600.0, description="Seconds that one generation may take, once its engine is ready."
    )
    engine: str = Field(
        default="auto",
        description="Engine where a request neither names nor implies one: auto (the first that is there), diffusers, "
        "comfyui, swarmui, ai-toolkit.",
    )
    diffusers_model: str | None = Field(
        default=None,
        description="Base model of the diffusers engine where a request names none: a path in the workspace, or a hub id.",
    )
    engine_idle_s: PositiveFloat = Field(
        default=300.0,
        description="Seconds after which an engine that nobody uses gives the GPU's memory back.",
    )
