"""What the demo trains: its config, base model and images."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lorapod
from lorapod.client.drawing.creature import NAME, OTHER_PROMPTS, PROMPTS, draw_creatures
from lorapod.wire.dataset import IMAGE_SUFFIXES

#: Most prompts that are taken from the captions of a caller's dataset.
EXAMPLES = 3

#: Checkpoints that are saved and compared.
CHECKPOINTS = 4
#: Number of sample rounds after the first.
SAMPLE_ROUNDS = 5

_BUILTIN = Path(lorapod.__file__).parent / "trainers" / "builtin"
#: The small base model that the worker's distribution has.
DEMO_BASE = _BUILTIN / "demo_base"
#: The small embedding models that it has: which recognises a subject, and which compares images with texts.
DEMO_RECOGNISER, DEMO_CLIP = _BUILTIN / "demo_recogniser", _BUILTIN / "demo_clip"
#: Their names.
OWN_SCORES = frozenset({DEMO_RECOGNISER.name, DEMO_CLIP.name})

#: Variables of a worker that scores with the models of its workspace.
OWN_SCORES_ENVIRONMENT: Mapping[str, str] = {
    "EMBEDDING_MODEL": f"models/{DEMO_RECOGNISER.name}",
    "TEXT_IMAGE_MODEL": f"models/{DEMO_CLIP.name}",
}


@dataclass(frozen=True, kw_only=True)
class DemoRecipe:
    """The training of the demo."""

    name: str
    #: A folder, a file or a HuggingFace id.
    model: str
    arch: str
    #: Folder with images and captions.
    pictures: Path
    trainer: str
    steps: int
    resolution: int
    rank: int
    learning_rate: float
    batch_size: int
    sampler: str
    sample_steps: int
    guidance_scale: float
    dtype: str
    #: Variables for the worker.
    environment: Mapping[str, str] = field(default_factory=dict)
    #: Whether `model` is the demo's own, which is copied there if it is missing.
    copies_model: bool = False
    #: Whether `pictures` are drawn here.
    draws_pictures: bool = False
    #: Prompts of the comparison; empty: those of the samples.
    compared_prompts: Sequence[str] = ()
    #: The workspace's folder of models.
    models: Path
    #: The demo's own embedding models, which are copied there if they are missing.
    score_models: Sequence[Path] = ()

    @property
    def summary(self) -> str:
        """Return the settings in half a line."""
        return f"{self.resolution} px, rank {self.rank}, learning rate {self.learning_rate:g}"

    def prepare(self) -> None:
        """Copy the model and draw the images that are missing."""
        if self.draws_pictures:
            draw_creatures(self.pictures)
        if self.copies_model:
            _copy(DEMO_BASE, Path(self.model))
        for folder in self.score_models:
            _copy(folder, self.models / folder.name)

    def comparison(self) -> dict[str, Any]:
        """Return the fields of the `compare` request."""
        return {"prompts": list(self.compared_prompts)} if self.compared_prompts else {}

    def examples(self) -> dict[str, Path]:
        """Return the prompts of the samples, each with an image of the dataset to compare it with."""
        if self.draws_pictures:
            return {prompt: self.pictures / name for prompt, name in PROMPTS.items()}
        by_caption: dict[str, Path] = {}
        for path in sorted(self.pictures.iterdir()):
            if path.suffix.lower() in IMAGE_SUFFIXES:
                by_caption.setdefault(_caption(path), path)
        captions = sorted(by_caption)
        stride = max(1, len(captions) // EXAMPLES)
        return {caption: by_caption[caption] for caption in captions[::stride][:EXAMPLES]}

    def config(self) -> dict[str, Any]:
        """Return the config in AI Toolkit's format, with keys that both trainers know."""
        process = {
            "type": "sd_trainer",
            **({"trigger_word": NAME} if self.draws_pictures else {}),
            "network": {"type": "lora", "linear": self.rank, "linear_alpha": self.rank},
            "save": {
                "dtype": "float16",
                "save_every": max(1, self.steps // CHECKPOINTS),
                "max_step_saves_to_keep": CHECKPOINTS,
            },
            "datasets": [
                {
                    "caption_ext": "txt",
                    "resolution": [self.resolution],
                    "cache_latents_to_disk": False,
                }
            ],
            "train": {
                "batch_size": self.batch_size,
                "steps": self.steps,
                "train_unet": True,
                "train_text_encoder": False,
                "gradient_checkpointing": False,
                "noise_scheduler": "ddpm",
                "optimizer": "adamw",
                "lr": self.learning_rate,
                "dtype": self.dtype,
            },
            "model": {"name_or_path": self.model, "arch": self.arch},
            "sample": {
                "sampler": self.sampler,
                "sample_every": max(1, self.steps // SAMPLE_ROUNDS),
                "sample_steps": self.sample_steps,
                "width": self.resolution,
                "height": self.resolution,
                "prompts": list(self.examples()),
                "neg": "",
                "seed": 7,
                "walk_seed": True,
                "guidance_scale": self.guidance_scale,
            },
        }
        return {"job": "extension", "config": {"name": self.name, "process": [process]}}


def tiny_recipe(
    out: Path,
    *,
    model: str | None,
    arch: str,
    dataset: Path | None,
    trainer: str,
    steps: int | None,
    resolution: int | None,
) -> DemoRecipe:
    """Return a training of the demo's base model on a creature that it does not know; it takes a minute on any CPU."""
    drawn = dataset is None
    return DemoRecipe(
        name="demo",
        model=model or str(out / "workspace" / "models" / DEMO_BASE.name),
        arch=arch,
        pictures=dataset or out / NAME,
        trainer=trainer,
        steps=steps or 160,
        resolution=resolution or 64,
        rank=32,
        learning_rate=3e-3,
        batch_size=8,
        sampler="ddim",
        sample_steps=12,
        guidance_scale=3.0,
        dtype="float32",
        # Such small tensors are slower on two threads than on one.
        environment={
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
            "ALLOW_CPU": "true",
            **(OWN_SCORES_ENVIRONMENT if drawn else {}),
        },
        copies_model=model is None,
        draws_pictures=drawn,
        compared_prompts=(*PROMPTS, *OTHER_PROMPTS) if drawn else (),
        models=out / "workspace" / "models",
        # They have seen nothing but drawn scenes.
        score_models=(DEMO_RECOGNISER, DEMO_CLIP) if drawn else (),
    )


def real_recipe(
    out: Path,
    *,
    model: str | None,
    arch: str,
    dataset: Path | None,
    trainer: str,
    steps: int | None,
    resolution: int | None,
) -> DemoRecipe:
    """Return a training of the caller's model, with settings that suit most; it needs a GPU."""
    assert model is not None
    local = Path(model).resolve() if Path(model).exists() else None
    return DemoRecipe(
        name="demo",
        model=str(local or model),
        arch=arch,
        pictures=dataset or out / NAME,
        trainer=trainer,
        steps=steps or 500,
        resolution=resolution or (1024 if arch == "sdxl" else 512),
        rank=16,
        learning_rate=1e-4,
        batch_size=1,
        sampler="ddpm",
        sample_steps=20,
        guidance_scale=7.0,
        dtype="bf16",
        # A worker loads base models from its workspace and from this folder.
        environment={"MODELS_PATH": str(local.parent)} if local else {},
        draws_pictures=dataset is None,
        models=out / "workspace" / "models",
    )


def _copy(model: Path, to: Path) -> None:
    """Copy a model, unless its folder is there; the copy is there whole or not at all."""
    if to.exists():
        return
    staged = to.with_name(f"{to.name}.new")
    shutil.rmtree(staged, ignore_errors=True)
    shutil.copytree(model, staged)
    staged.rename(to)


def _caption(picture: Path) -> str:
    try:
        return " ".join(picture.with_suffix(".txt").read_text("utf-8").split())
    except FileNotFoundError:
        return "a picture"
