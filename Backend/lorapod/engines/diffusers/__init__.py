"""The embedded engine: a resident child process with a diffusers pipeline, which stays loaded between generations."""
