"""The programs that train: one port, an adapter for each."""
