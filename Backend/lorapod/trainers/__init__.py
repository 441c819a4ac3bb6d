"""The programs that train: one port, and one adapter for each program."""
