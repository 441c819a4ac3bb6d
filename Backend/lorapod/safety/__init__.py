"""What stands between callers and the machine."""
