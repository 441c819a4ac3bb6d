"""Parts of `terminal_recording.py`: the session, its cast, and the picture."""
