"""Folders and sections as a generator makes them: names, suffixes and places that could be read in two ways."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from tests.contract.dataset_cases import PNG, image

_FOLDERS = (
    "",
    "",
    "",
    "one/",
    "two/",
    "one/_controls/",
    "_controls/",
    ".hidden/",
    "_latent_cache/",
    "__MACOSX/",
)
_STEMS = (
    "a",
    "A",
    "b",
    "a.b",
    "a b",
    "_a",
    ".a",
    "-a",
    "é",
    "e\u0301",
    "a.",
    "default",
    "metadata",
    "猫",
    "[trigger]",
)
_IMAGES = (".png", ".PNG", ".jpg", ".jpeg", ".webp", ".Webp")
_OTHERS = (".txt", ".TXT", ".caption", ".json", ".jsonl", ".gif", ".bmp", ".pdf", ".mp3", "")
_EXTENSIONS = ("txt", ".txt", "caption", ".json", ".TXT", "tags")
_PARTNERS = ("control_path", "mask_path", "inpaint_path", "unconditional_path", "clip_image_path")

_CONTENT = {".jpg": image("JPEG"), ".jpeg": image("JPEG"), ".webp": image("WEBP"), ".Webp": image("WEBP")}


def generate(root: Path, seed: int) -> dict[str, Any]:
    """Fill `root`, and return the mapping of a config's `datasets`."""
    choice = random.Random(seed)
    section: dict[str, Any] = {"folder_path": f"{root}/data"}
    _fill(root / "data", choice, choice.randint(2, 14))
    # The trainer ends at a folder without images.
    (root / "data" / "whole.png").write_bytes(PNG)
    if choice.random() < 0.6:
        section["caption_ext"] = choice.choice(_EXTENSIONS)
    if choice.random() < 0.3:
        section["default_caption"] = "a thing"
    for key in _PARTNERS:
        if key != "clip_image_path" and choice.random() < 0.3:
            _fill(root / key, choice, choice.randint(1, 8))
            section[key] = f"{root}/{key}"
    if choice.random() < 0.2:
        section["control_path"] = [f"{root}/data", f"{root}/data/one"]
    return section


def _fill(folder: Path, choice: random.Random, count: int) -> None:
    folder.mkdir()
    for _ in range(count):
        suffix = choice.choice(_IMAGES if choice.random() < 0.55 else _OTHERS)
        path = folder / (choice.choice(_FOLDERS) + choice.choice(_STEMS) + suffix)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            text = choice.choice((b"a cat", b"", b" \n", "ein K\u00e4fer\r\n".encode()))
            path.write_bytes(_CONTENT.get(suffix, PNG) if suffix in _IMAGES else text)
