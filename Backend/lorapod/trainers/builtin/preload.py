"""Imports what a training needs; it runs in the template process."""

from lorapod.trainers.builtin.console import quiet_libraries

quiet_libraries()

from lorapod.trainers.builtin import job  # noqa: E402 - after what the libraries read when they are imported

__all__ = ["job"]
