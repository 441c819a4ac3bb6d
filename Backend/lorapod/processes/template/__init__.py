"""Warm trainers: a resident process that has the trainer imported, and forks for each training."""
