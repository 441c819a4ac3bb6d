"""Settings by purpose; `lorapod.settings` joins them, and reads the environment."""
