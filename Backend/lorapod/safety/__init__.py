"""Checks of what callers send: images, archives, URLs; and the redaction of secrets."""
