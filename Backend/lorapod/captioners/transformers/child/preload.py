"""Imports what the child needs; run in a resident process, from which the child is forked."""

from lorapod.captioners.transformers.child import quiet_libraries

quiet_libraries()

from lorapod.captioners.transformers.child import jobs  # noqa: E402 - after what the libraries read when they are imported

__all__ = ["jobs"]
