"""What runs in the resident child process; nothing else in the package may import from here."""
