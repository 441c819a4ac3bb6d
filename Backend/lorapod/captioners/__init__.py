"""Captionings: models write the captions of a dataset, in their own process."""
