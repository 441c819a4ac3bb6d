"""Imports what a training needs; run in a resident process."""

from lorapod.trainers.builtin import job

__all__ = ["job"]
