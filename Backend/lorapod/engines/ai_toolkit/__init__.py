"""AI Toolkit's own `job: generate`, one child for each generation."""
