"""Engines: where they are, how long they may take, when they release the GPU."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PositiveFloat, PositiveInt, SecretStr
from pydantic_settings import BaseSettings

from lorapod.web_url import web_url

ComfyLogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]


def _in_capitals(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _command_line(text: str) -> str:
    try:
        shlex.split(text)
    except ValueError as error:
        raise ValueError(f"is not a command line: {str(error).lower()}") from None
    return text


class EngineSettings(BaseSettings):
    """Engines: where they are, how long they may take, when they release the GPU."""

    comfyui_path: Path | None = Field(
        default=None,
        description="ComfyUI's root: it is started there, and its model folders are linked to the workspace's. If not set: /comfyui, "
        "/app/ComfyUI, <workspace>/ComfyUI.",
    )
    swarmui_path: Path | None = Field(
        default=None,
        description="SwarmUI's root: its model folders are linked to the workspace's. If not set: /app/SwarmUI, "
        "<workspace>/SwarmUI.",
    )
    comfyui_url: Annotated[str, AfterValidator(web_url)] = Field(
        default="http://127.0.0.1:8188",
        pattern=r"^https?://[^/?#@]+(/[^?#]*)?$",
        description="ComfyUI's URL: a ComfyUI that runs there is used; otherwise the worker starts one there.",
    )
    comfyui_python: Path | None = Field(
        default=None,
        description="The Python that runs ComfyUI; if not set, the virtual environment in its root.",
    )
    comfyui_args: Annotated[str, AfterValidator(_command_line)] = Field(
        default="", description="More arguments for the ComfyUI that is started, as on a command line."
    )
    comfy_log_level: Annotated[ComfyLogLevel, BeforeValidator(_in_capitals)] | None = Field(
        default=None,
        description="Level of the log of the ComfyUI that is started: DEBUG, INFO, WARNING, ERROR or CRITICAL; if not set, "
        "ComfyUI's own.",
    )
    comfy_org_api_key: SecretStr | None = Field(
        default=None,
        description="Key for ComfyUI's API nodes if a request has no `comfy_org_api_key`; sent with every workflow.",
    )
    comfyui_nodes: str = Field(
        default="",
        description="Extensions (custom nodes) that are installed once for all workers of the volume: names of ComfyUI's "
        "registry (`name` or `name@version`), git URLs at a commit (`https://…/x.git@<commit>`), or `video`, a set of six; "
        "separated by commas or spaces.",
    )
    comfyui_registry_url: Annotated[str, AfterValidator(web_url)] = Field(
        default="https://api.comfy.org",
        pattern=r"^https?://[^/?#@]+(/[^?#]*)?$",
        description="The registry of ComfyUI's extensions.",
    )
    comfy_history_attempts: PositiveInt = Field(
        default=20,
        description="How often ComfyUI is asked for the results of an ended prompt before the generation fails.",
    )
    comfy_history_delay_seconds: PositiveFloat = Field(
        default=0.5, description="Seconds between two of those questions."
    )
    swarmui_api_url: Annotated[str, AfterValidator(web_url)] | None = Field(
        default=None, description="SwarmUI's URL; if not set, http://127.0.0.1:7801."
    )
    swarmui_models_path: Path | None = Field(
        default=None,
        description="SwarmUI's model folder as the worker sees it, for LoRAs; if not set, the one that SwarmUI reports.",
    )
    startup_timeout: PositiveFloat = Field(
        default=1800.0, description="Seconds that a generation waits for an engine that is starting."
    )
    generation_timeout: PositiveFloat = Field(
        default=600.0, description="Seconds that one generation may take, once its engine is ready."
    )
    engine: str = Field(
        default="auto",
        description="Engine if a request neither names nor implies one: auto (the first that is installed), diffusers, "
        "comfyui, swarmui, ai-toolkit.",
    )
    diffusers_model: str | None = Field(
        default=None,
        description="Base model of the diffusers engine if a request names none: a path in the workspace, or a Hub id.",
    )
    engine_idle_s: PositiveFloat = Field(
        default=300.0,
        description="Seconds without a generation or a captioning after which a model that stayed loaded releases the GPU's "
        "memory.",
    )
    caption_model: str = Field(
        default="Qwen/Qwen3-VL-4B-Instruct",
        description="Model of `caption_dataset` if a request names none: a folder in the workspace, or a Hub id.",
    )
    embedding_model: str | None = Field(
        default=None,
        description="Model of `compare` that compares images: a folder in the workspace, or a Hub id such as "
        "`facebook/dinov2-base`. If unset, that one is used if it was downloaded before.",
    )
    text_image_model: str | None = Field(
        default=None,
        description="Model of `compare` that compares images with texts: a folder in the workspace, or a Hub id such as "
        "`openai/clip-vit-large-patch14`. If unset, that one is used if it was downloaded before.",
    )
    caption_timeout_s: PositiveFloat = Field(
        default=300.0, description="Seconds that the captions of a request may take on average, per image."
    )
