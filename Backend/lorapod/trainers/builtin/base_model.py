"""The base model and the LoRA on it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import DDPMScheduler, StableDiffusionPipeline, StableDiffusionXLPipeline
from peft import LoraConfig

from lorapod.errors import InvalidInput, UpstreamError, WorkerError
from lorapod.library_errors import reason_of
from lorapod.trainers.builtin.config import ModelSection, NetworkSection
from lorapod.trainers.builtin.values import Architecture, Precision
from lorapod.weights import SUFFIX

#: The linear layers of a UNet's attention blocks, including its 1x1 projections.
LORA_TARGETS = ("to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out", "ff.net.0.proj", "ff.net.2")
DTYPES = {Precision.FP32: torch.float32, Precision.FP16: torch.float16, Precision.BF16: torch.bfloat16}


@dataclass(kw_only=True)
class BaseModel:
    """A frozen pipeline with a common interface for all architectures."""

    pipeline: Any
    arch: Architecture
    device: torch.device
    #: The precision of the UNet's frozen weights.
    dtype: torch.dtype
    #: The noise schedule of the training.
    noise: DDPMScheduler

    @property
    def unet(self) -> Any:
        """Return the network that the LoRA adapts."""
        return self.pipeline.unet

    def free_encoders(self, *, keep_vae: bool) -> None:
        """Free the encoders, which are not needed once latents and prompts are encoded."""
        self.pipeline.text_encoder = None
        if self.arch is Architecture.SDXL:
            self.pipeline.text_encoder_2 = None
        if not keep_vae:
            self.pipeline.vae = None
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def conditions(self, prompts: torch.Tensor, pooled: torch.Tensor | None, side: int) -> dict[str, Any]:
        """Return the UNet's inputs besides latents and timesteps: prompts, and for SDXL image sizes."""
        if pooled is None:
            return {"encoder_hidden_states": prompts}
        # Original size, crop corner and target size: each image counts as uncropped, at the size of the training.
        sizes = torch.tensor([side, side, 0, 0, side, side], dtype=prompts.dtype, device=prompts.device)
        extra = {"text_embeds": pooled, "time_ids": sizes.repeat(len(prompts), 1)}
        return {"encoder_hidden_states": prompts, "added_cond_kwargs": extra}


def load_base_model(model: ModelSection, *, device: torch.device, precision: Precision) -> BaseModel:
    """Load and freeze the base model.

    Raises:
        InvalidInput: it cannot be read, or has another architecture.
        UpstreamError: it could not be downloaded.
    """
    kind = StableDiffusionXLPipeline if model.arch is Architecture.SDXL else StableDiffusionPipeline
    dtype = DTYPES[precision]
    extras: dict[str, Any] = {} if model.arch is Architecture.SDXL else {"safety_checker": None}
    if model.arch is Architecture.SD1:
        extras["requires_safety_checker"] = False
    path = Path(model.name_or_path)
    try:
        if path.suffix == SUFFIX:
            pipeline = kind.from_single_file(str(path), dtype=dtype, **extras)
        else:
            pipeline = kind.from_pretrained(model.name_or_path, dtype=dtype, **extras)
    except (OSError, ValueError) as error:
        raise _unloadable(model.name_or_path, error) from error
    if (pipeline.unet.config.addition_embed_type == "text_time") != (model.arch is Architecture.SDXL):
        raise InvalidInput(f"The model {model.name_or_path} does not have the architecture {model.arch}.")
    for part in pipeline.components.values():
        if isinstance(part, torch.nn.Module):
            part.requires_grad_(requires_grad=False).eval()
    pipeline.to(device)
    # SDXL's VAE overflows in half precision; latents are encoded once, so exactness costs little.
    pipeline.vae.to(dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    return BaseModel(
        pipeline=pipeline,
        arch=model.arch,
        device=device,
        dtype=dtype,
        noise=DDPMScheduler.from_config(pipeline.scheduler.config),
    )


def _unloadable(name: str, error: Exception) -> WorkerError:
    reason = reason_of(error)
    if name.startswith(("/", "./", "../", "~")) or Path(name).exists():
        return InvalidInput(f"The model {name} cannot be loaded: {reason}")
    return UpstreamError(
        f"The model {name} is not on this worker and could not be downloaded: {reason}.",
        hint="Check model.name_or_path, the HuggingFace token and the network.",
    )


def attach_lora(unet: Any, network: NetworkSection) -> list[torch.nn.Parameter]:
    """Put a fresh LoRA on the UNet and return its weights, the only ones that are trained, in float32."""
    unet.add_adapter(
        LoraConfig(r=network.linear, lora_alpha=network.linear_alpha, target_modules=list(LORA_TARGETS))
    )
    weights = [weight for weight in unet.parameters() if weight.requires_grad]
    for weight in weights:
        weight.data = weight.data.float()
    return weights
