"""Reads datasets with the real AI Toolkit's own class: run under its Python, in its folder; entries come on stdin.

Each entry is one mapping of a config's `datasets`. Prints one JSON line: for each entry its items, or its error.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path.cwd()))


class Model:
    """As much of a model as the dataset's class asks for before anything is encoded."""

    is_audio_model = False
    is_xl = is_v3 = is_auraflow = is_flux = is_vega = is_ssd = False
    use_raw_control_images = False
    encode_control_in_text_embeddings = False
    text_embedding_space_version = "sd1"
    te_padding_side = "right"
    sample_rate = 48000
    adapter = vae = unet = None

    class model_config:  # noqa: N801 - as the toolkit calls it
        latent_space_version = "sd1"
        arch = "sd1"
        is_pixart_sigma = False

    def get_bucket_divisibility(self) -> int:
        return 16


def read(section: dict[str, Any]) -> dict[str, Any]:
    dataset_config = importlib.import_module("toolkit.config_modules").DatasetConfig
    dataset_class = importlib.import_module("toolkit.data_loader").AiToolkitDataset
    try:
        dataset = dataset_class(dataset_config(**{**section, "resolution": 64}), batch_size=1, sd=Model())
    except (AssertionError, OSError, ValueError) as error:
        return {"error": f"{type(error).__name__}: {error}", "items": []}
    items = []
    for item in dataset.file_list:
        try:
            item.load_caption(dataset.caption_dict)
            caption, failed = item.raw_caption, None
        except (UnicodeDecodeError, OSError) as error:
            caption, failed = None, type(error).__name__
        items.append(
            {
                "path": item.path,
                "video": item.is_video,
                "size": [item.width, item.height],
                "bucket": [item.crop_width, item.crop_height],
                "caption": caption,
                "caption_error": failed,
                "control": item.control_path,
                "mask": item.mask_path,
                "inpaint": item.inpaint_path,
                "unconditional": item.unconditional_path,
                "clip_image": item.clip_image_path,
            }
        )
    return {"items": items}


def main() -> None:
    sections = json.load(sys.stdin)
    with contextlib.redirect_stdout(sys.stderr):
        answers = [read(section) for section in sections]
    sys.stdout.write(json.dumps(answers))


if __name__ == "__main__":
    main()
