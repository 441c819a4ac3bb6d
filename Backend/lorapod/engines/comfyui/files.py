"""The files of a job: its input image on the way to ComfyUI, its results on the way back."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lorapod.engines.comfyui.client import ComfyClient, OutputGone, ServerAway
from lorapod.engines.comfyui.outputs import OutputFile, OutputText
from lorapod.errors import InvalidInput
from lorapod.safety.conversion import in_8_bits

if TYPE_CHECKING:
    from PIL.Image import Image

#: PNG at its fastest: the file lives for one job, on this machine.
_COMPRESSION = 1


#: Attempts to fetch a file if the connection breaks.
ATTEMPTS = 3
_NAME_CHARACTERS = 120
_UNUSUAL = re.compile(r"[^\w .+()\[\]-]+")


def fitted(
    source: Path, target: Path, *, width: int | None, height: int | None, mask: Path | None = None
) -> tuple[int, int]:
    """Write the image to `target` as PNG, upright, in the requested size; return that size.

    With both sides given, the image covers them and the rest is cropped evenly; with one side, the other is in proportion;
    without, it keeps its size. It is transparent where `mask` is white; without a mask, where it was.

    Raises:
        InvalidInput: the image cannot be decoded.
        OSError: `target` cannot be written.
    """
    from PIL import Image, ImageOps

    image = _upright(source, "image")
    size = _size(image.size, width, height)
    if size != image.size:
        image = ImageOps.fit(image, size, method=Image.Resampling.LANCZOS)
    if mask is not None:
        white = ImageOps.fit(_upright(mask, "mask").convert("L"), size, method=Image.Resampling.LANCZOS)
        image.putalpha(ImageOps.invert(white))
    image.save(target, format="PNG", compress_level=_COMPRESSION)
    return size


def _upright(source: Path, name: str) -> Image:
    from PIL import Image, ImageOps

    try:
        with Image.open(source) as opened:
            image = in_8_bits(ImageOps.exif_transpose(opened))
            return image.convert("RGBA" if image.has_transparency_data else "RGB")
    except (OSError, SyntaxError, ValueError) as error:
        raise InvalidInput(f"{name}: the image cannot be decoded.") from error


def _size(now: tuple[int, int], width: int | None, height: int | None) -> tuple[int, int]:
    if width and height:
        return width, height
    if width:
        return width, max(1, round(now[1] * width / now[0]))
    if height:
        return max(1, round(now[0] * height / now[1])), height
    return now


async def collect(
    client: ComfyClient,
    files: Sequence[OutputFile],
    texts: Sequence[OutputText],
    folder: Path,
    *,
    patience_s: float,
) -> list[Path]:
    """Fetch every file into `folder`, whole or not at all; texts become files there.

    Args:
        client: the server's.
        files: what to fetch.
        texts: what to write.
        folder: there already.
        patience_s: how long to wait for a file that is not yet in ComfyUI's folder.

    Raises:
        OutputGone: a file is not there; those before it stay.
        ServerAway: the server cannot be reached.
        OSError: the disk is full.
    """
    made = [await _fetch(client, file, folder, patience_s) for file in files]
    for text in texts:
        path = _free(folder, f"text_{text.node}.txt")
        path.write_text(text.text, "utf-8")
        made.append(path)
    return made


async def _fetch(client: ComfyClient, file: OutputFile, folder: Path, patience_s: float) -> Path:
    broken, waited_s, wait_s = 0, 0.0, 0.05
    while True:
        try:
            return await _download(client, file, folder)
        except OutputGone:
            if waited_s >= patience_s:
                raise
            await asyncio.sleep(wait_s)
            waited_s, wait_s = waited_s + wait_s, wait_s * 2
        except ServerAway:
            broken += 1
            if broken >= ATTEMPTS:
                raise


async def _download(client: ComfyClient, file: OutputFile, folder: Path) -> Path:
    part = folder / f".{secrets.token_hex(6)}.part"
    try:
        with part.open("xb") as target:
            async for chunk in client.download(file):
                # No other thread is needed: this loop serves this job alone.
                target.write(chunk)
        path = _free(folder, file.filename)
        part.rename(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def _free(folder: Path, filename: str) -> Path:
    """Return a path in `folder` for a file of that name that is not taken."""
    name = _UNUSUAL.sub("_", filename.replace("\\", "/").rpartition("/")[2]).lstrip("._ ")[-_NAME_CHARACTERS:]
    path = folder / (name or "output")
    number = 1
    while path.exists():
        number += 1
        path = folder / f"{path.stem.removesuffix(f'_{number - 1}')}_{number}{path.suffix}"
    return path
