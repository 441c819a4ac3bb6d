"""The parts of the Python client that are made: its typed keywords, and its face without an event loop."""
