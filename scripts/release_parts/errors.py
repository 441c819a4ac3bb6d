"""Why a release stops."""

from __future__ import annotations


class ReleaseError(Exception):
    """Something must be done before there can be a release; the message says what."""
