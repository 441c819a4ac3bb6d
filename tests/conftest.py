from __future__ import annotations

from hypothesis import settings

# Time is pytest-timeout's business: a deadline an example fails at random on a busy machine.
settings.register_profile("lorapod", deadline=None)
settings.load_profile("lorapod")
