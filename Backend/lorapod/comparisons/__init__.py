"""Comparisons: the same prompts and seeds drawn with several checkpoints, in their own process."""
