"""Artifacts sent to object stores while their training runs, and what is left of them afterwards."""
