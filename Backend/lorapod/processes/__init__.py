"""Long-running work as supervised child processes, with its state in RAM and on the workspace."""
