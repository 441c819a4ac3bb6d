"""How benchmarks tell their figures."""

from __future__ import annotations

from collections.abc import Callable

Report = Callable[[str], None]
