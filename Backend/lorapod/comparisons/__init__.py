"""Comparisons: the same prompts and seeds drawn with several checkpoints, in a process of their own."""
