"""Inputs that say by their fields what they are; see `table.py`."""
