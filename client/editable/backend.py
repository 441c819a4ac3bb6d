"""Build the editable wheel of the folder above where a plain wheel is asked for."""

import os

from hatchling.build import build_editable as build_wheel
from hatchling.build import build_sdist

__all__ = ["build_sdist", "build_wheel"]

os.chdir("..")
