"""Captionings: models write the captions of a dataset, in a process of their own."""
