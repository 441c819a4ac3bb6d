"""Imports what a training needs; run in a resident process."""

from lorapod.trainers.builtin.console import quiet_libraries

quiet_libraries()

from lorapod.trainers.builtin import job  # noqa: E402 - after what the libraries read when they are imported

__all__ = ["job"]
