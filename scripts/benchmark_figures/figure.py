"""One figure of a benchmark, beside its reference and its bound."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Figure(BaseModel):
    """What was measured; the reference was measured in the same run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    what: str
    value: float
    #: Empty for a number without one.
    unit: str = ""
    #: Such as "the five-line handler"; None if there is nothing to compare with.
    against: str | None = None
    reference: float | None = None
    #: Bounds of the value, in its unit.
    at_most: float | None = None
    at_least: float | None = None
    #: Bounds of the value divided by the reference.
    ratio_at_most: float | None = None
    ratio_at_least: float | None = None

    @property
    def ratio(self) -> float | None:
        """Return the value divided by the reference."""
        return self.value / self.reference if self.reference else None

    @property
    def holds(self) -> bool:
        """Return True if every bound holds; a bound of a ratio needs a reference."""
        ratio = self.ratio
        return (
            (self.at_most is None or self.value <= self.at_most)
            and (self.at_least is None or self.value >= self.at_least)
            and (self.ratio_at_most is None or (ratio is not None and ratio <= self.ratio_at_most))
            and (self.ratio_at_least is None or (ratio is not None and ratio >= self.ratio_at_least))
        )

    @property
    def bound(self) -> str:
        """Return the bounds in words; empty if there is none."""
        said = []
        if self.at_most is not None:
            said.append(f"at most {number(self.at_most)} {self.unit}".rstrip())
        if self.at_least is not None:
            said.append(f"at least {number(self.at_least)} {self.unit}".rstrip())
        if self.ratio_at_most is not None:
            said.append(f"at most {number(self.ratio_at_most)} of the reference")
        if self.ratio_at_least is not None:
            said.append(f"at least {number(self.ratio_at_least)} of the reference")
        return ", ".join(said)

    def sentence(self) -> str:
        """Return the figure as one line of a terminal."""
        parts = [f"{self.what}: {quantity(self.value, self.unit)}"]
        if self.against is not None and self.reference is not None:
            parts.append(f"{self.against}: {quantity(self.reference, self.unit)}")
        if self.ratio is not None:
            parts.append(f"ratio {number(self.ratio)}")
        if self.bound:
            parts.append(self.bound if self.holds else f"NOT {self.bound}")
        return "; ".join(parts)


def number(value: float) -> str:
    """Return a number with three digits that count."""
    if value == 0 or 1e-3 <= abs(value) < 1:
        return f"{value:.3g}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def quantity(value: float, unit: str) -> str:
    """Return a number with its unit."""
    return f"{number(value)} {unit}".rstrip()
