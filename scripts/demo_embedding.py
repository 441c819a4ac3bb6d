"""Train the demo's embedding models: `python scripts/demo_embedding.py OUT_DIR [--seed 0] [--only NAME] [--quick]`.

Two models, both shown nothing but pictures that are drawn by code: `demo_recogniser` knows a subject again, and `demo_clip`
compares images with texts. It takes a quarter of an hour on one core, and writes them in transformers' layout, in half
precision, each with its model card. The same seed gives the same weights on the same CPU and version of torch. What it
writes is in `Backend/lorapod/trainers/builtin`. With `--quick`, models that see nothing are made in seconds, to see that
the script works.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from demo_base_parts.clip import train_clip
from demo_base_parts.recogniser import write_recogniser

_CLIP, _RECOGNISER = "demo_clip", "demo_recogniser"
#: What made the models that are shipped, and what makes models that see nothing.
_WHOLE_CLIP, _QUICK_CLIP = {"pictures": 8000, "steps": 600}, {"pictures": 40, "steps": 2, "held_back": 10}
_WHOLE_RECOGNISER = {"count": 8000, "steps": 1000}
_QUICK_RECOGNISER = {"count": 20, "steps": 2, "held_back": 10}


def main(arguments: Sequence[str]) -> int:
    """Train the models and write them."""
    parser = argparse.ArgumentParser(
        prog="python scripts/demo_embedding.py", description="Train the demo's embedding models."
    )
    parser.add_argument("folder", type=Path, help="where the models' folders go")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=(_CLIP, _RECOGNISER), help="train one of them")
    parser.add_argument("--quick", action="store_true", help="make models that see nothing, in seconds")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    clip, recogniser = (_QUICK_CLIP, _QUICK_RECOGNISER) if options.quick else (_WHOLE_CLIP, _WHOLE_RECOGNISER)
    if options.only != _RECOGNISER:
        train_clip(options.folder / _CLIP, seed=options.seed, **clip)
    if options.only != _CLIP:
        write_recogniser(options.folder / _RECOGNISER, seed=options.seed, **recogniser)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
