"""The captioners that AI Toolkit ships, run unmodified as a child process."""
