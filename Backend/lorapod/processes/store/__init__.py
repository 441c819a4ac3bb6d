"""The state that workers share: its port, and the stores that keep it in files or in Redis."""
