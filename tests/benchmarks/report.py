"""How benchmarks report their figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from benchmark_figures.figure import Figure


@dataclass
class Report:
    """The figures of one benchmark, which are also printed."""

    show: Callable[[str], None]
    figures: list[Figure] = field(default_factory=list)

    def __call__(
        self,
        what: str,
        value: float,
        unit: str = "",
        *,
        against: str | None = None,
        reference: float | None = None,
        at_most: float | None = None,
        at_least: float | None = None,
        ratio_at_most: float | None = None,
        ratio_at_least: float | None = None,
    ) -> None:
        """Record one figure. The benchmark fails at its end if a bound is broken: the others are measured before."""
        figure = Figure(
            what=what,
            value=value,
            unit=unit,
            against=against,
            reference=reference,
            at_most=at_most,
            at_least=at_least,
            ratio_at_most=ratio_at_most,
            ratio_at_least=ratio_at_least,
        )
        self.figures.append(figure)
        self.show(figure.sentence())

    def broken(self) -> list[str]:
        """Return the figures whose bound is broken, in words."""
        return [figure.sentence() for figure in self.figures if not figure.holds]
