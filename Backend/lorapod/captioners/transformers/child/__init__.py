"""What runs in the resident child process; nothing else in the package may import from here."""

from __future__ import annotations

import os


def quiet_libraries() -> None:
    """Keep the libraries' advice out of the output; call this before they are imported."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
