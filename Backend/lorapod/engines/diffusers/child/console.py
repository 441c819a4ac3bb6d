"""What the libraries print."""

from __future__ import annotations

import os
import warnings


def quiet_libraries() -> None:
    """Keep their advice out of the output; before they are imported."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # Several LoRAs at once are what this engine is for.
    warnings.filterwarnings("ignore", message="Already found a `peft_config`")
