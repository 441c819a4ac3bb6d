"""The images of a generation: the one that comes in, and those that go out."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

import lorapod
from lorapod.atomic import write_atomically
from lorapod.engines.diffusers.messages import Generate

#: Sides of images are multiples of it: one pixel of most models' latents is so many pixels wide.
MULTIPLE = 8


def rounded(side: int) -> int:
    """Return the nearest side that a model can make."""
    return max(MULTIPLE, (side + MULTIPLE // 2) // MULTIPLE * MULTIPLE)


def read_input(path: Path, size: tuple[int | None, int | None], *, side: int) -> Image.Image:
    """Return the input image, upright and without transparency.

    Args:
        path: the file.
        size: width and height it is cropped to; if one is None, in proportion; if both are, its own size, but
            no more pixels than `side` x `side`.
        side: of the images that the model is made for.
    """
    with Image.open(path) as opened:
        upright = ImageOps.exif_transpose(opened)
        if upright.has_transparency_data:
            ground = Image.new("RGBA", upright.size, "white")
            upright = Image.alpha_composite(ground, upright.convert("RGBA"))
        image = upright.convert("RGB")
    return ImageOps.fit(image, _target(image.size, size, side), Image.Resampling.LANCZOS)


def read_mask(path: Path, size: tuple[int, int]) -> Image.Image:
    """Return the mask in grey, upright, cut evenly to the size of its image."""
    with Image.open(path) as opened:
        mask = ImageOps.exif_transpose(opened).convert("L")
    return ImageOps.fit(mask, size, Image.Resampling.LANCZOS)


def _target(now: tuple[int, int], size: tuple[int | None, int | None], side: int) -> tuple[int, int]:
    width, height = size
    if width is None and height is None:
        scale = min(1.0, side / (now[0] * now[1]) ** 0.5)
    elif width is None or height is None:
        scale = (width or 0) / now[0] or (height or 0) / now[1]
    else:
        scale = 1.0
    return rounded(width or round(now[0] * scale)), rounded(height or round(now[1] * scale))


def write_png(
    image: Image.Image,
    path: Path,
    request: Generate,
    *,
    seed: int,
    model: str,
    facts: Sequence[tuple[str, str]],
) -> None:
    """Write one image whole, with what it was made of in the form that other programs read (`parameters`).

    Raises:
        OSError: the disk is full or not writable.
    """
    notes = PngInfo()
    notes.add_itxt("parameters", parameters(request, image.size, seed=seed, model=model, facts=facts))
    notes.add_itxt("Software", f"lorapod {lorapod.__version__}")
    held = io.BytesIO()
    image.save(held, "PNG", pnginfo=notes)
    write_atomically(path, held.getvalue())


def parameters(
    request: Generate, size: tuple[int, int], *, seed: int, model: str, facts: Sequence[tuple[str, str]]
) -> str:
    """Prompt, negative prompt, and one line of all else."""
    loras = "".join(f" <lora:{lora.name}:{lora.weight:g}>" for lora in request.loras)
    lines = [f"{request.prompt}{loras}"]
    if request.negative_prompt:
        lines.append(f"Negative prompt: {request.negative_prompt}")
    told = [*facts, ("Seed", str(seed)), ("Size", f"{size[0]}x{size[1]}"), ("Model", model)]
    if request.image is not None and request.strength is not None:
        told.append(("Denoising strength", f"{request.strength:g}"))
    lines.append(", ".join(f"{name}: {value}" for name, value in told))
    return "\n".join(lines)
