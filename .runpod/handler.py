"""The handler under the name that RunPod's Hub expects; the image itself starts `Backend/rp_handler.py`."""

from __future__ import annotations

from rp_handler import main

if __name__ == "__main__":
    main()
