"""Where models come from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, AliasChoices, Field, PositiveInt, SecretStr
from pydantic_settings import BaseSettings

from lorapod.web_url import web_url

#: The public HuggingFace Hub.
PUBLIC_HUB = "https://huggingface.co"


class ModelSettings(BaseSettings):
    """Where models come from."""

    hf_token: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("HF_TOKEN", "HUGGINGFACE_API_TOKEN", "HUGGING_FACE_HUB_TOKEN"),
        description="HuggingFace token: reads gated models and private datasets, writes LoRA repositories.",
    )
    hf_endpoint: Annotated[str, AfterValidator(web_url)] = Field(
        default=PUBLIC_HUB, description="The HuggingFace Hub, or a mirror of it."
    )
    hub_push: Literal["off", "own", "any"] = Field(
        default="off",
        description="Where a config's `save.push_to_hub` may publish: nowhere, in the account of HF_TOKEN, or wherever that "
        "token may write.",
    )
    hf_hub_offline: bool = Field(default=False, description="Never connect to the HuggingFace Hub.")
    model_cache_path: Path = Field(
        default=Path("/runpod-volume/huggingface-cache/hub"),
        description="Where RunPod puts the endpoint's cached model, in the layout of a HuggingFace cache.",
    )
    cached_model: str | None = Field(
        default=None,
        description="HuggingFace id of the model that RunPod should keep on the hosts of this endpoint; `health` says if it is "
        "not there. `lorapod deploy --cached-model` sets it.",
    )
    civitai_token: SecretStr | None = Field(
        default=None, description="Civitai API key, sent with downloads from civitai.com only."
    )
    allow_pickled_models: bool = Field(
        default=False,
        description="Let download_model fetch .ckpt, .pt, .pth, .bin and .gguf files too; pickled ones can run "
        "code on the machine that loads them.",
    )
    max_model_bytes: PositiveInt = Field(
        default=200_000_000_000, description="Largest model that download_model fetches, in bytes."
    )
    network_volume_debug: bool = Field(
        default=False,
        description="At the start, log which models each folder of the volume holds, and everything that keeps engines from "
        "finding them; `health` then fails its check `volume` for it. Without it, one warning names the first such thing.",
    )
