"""Configs as YAML: how they are read, what is wrong with a text, and how they are written."""
