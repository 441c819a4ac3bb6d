"""Tools for trained LoRAs, each a process: merge several into one, make one smaller, convert one for other programs."""
