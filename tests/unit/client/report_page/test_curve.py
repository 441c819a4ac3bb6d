from __future__ import annotations

import math

import pytest

from lorapod.client.report_page.chart import line_chart
from lorapod.client.report_page.curve import MOST_POINTS, Curve, curve_of, recent_mean


def test_a_million_points_are_thinned_and_keep_their_peaks() -> None:
    points = [(step, 1.0 / (1 + step)) for step in range(1_000_000)]
    points[500_000] = (500_000, 9.0)

    curve = curve_of(points)

    assert len(curve.steps) == len(curve.values) == MOST_POINTS
    assert curve.merged == 500
    assert max(value for value in curve.high if value is not None) == 9.0
    assert min(value for value in curve.low if value is not None) == points[-1][1]


def test_a_short_curve_is_kept_as_it_is() -> None:
    curve = curve_of([(1, 0.5), (2, 0.25)])

    assert curve == Curve(steps=[1, 2], values=[0.5, 0.25], low=[], high=[])


def test_what_is_no_number_is_a_gap() -> None:
    curve = curve_of([(1, 0.5), (2, math.nan), (3, math.inf), (4, 0.25)])

    assert list(curve.values) == [0.5, None, None, 0.25]
    assert curve.data()["values"] == [0.5, None, None, 0.25]


def test_steps_that_were_not_logged_are_a_gap() -> None:
    points = [(step, 1.0) for step in (*range(10), *range(100, 110))]

    curve = curve_of(points)

    assert len(curve.values) == 21
    assert curve.values[10] is None
    assert curve.steps[10] == 10


@pytest.mark.parametrize("points", [[], [(1, math.nan)]])
def test_no_value_is_no_chart(points: list[tuple[int, float]]) -> None:
    assert line_chart([("a", curve_of(points))], label="Loss") is None


@pytest.mark.parametrize(
    "points", [[(5, 0.0)], [(1, -1.0), (2, -2.0)], [(1, 1e-12), (2, 3e-12)], [(1, 1e9), (9, 2e9)]]
)
def test_odd_values_are_drawn(points: list[tuple[int, float]]) -> None:
    chart = line_chart([("a", curve_of(points))], label="Loss")

    assert chart is not None
    assert "nan" not in chart
    assert chart.count("<path") == 1


def test_the_end_of_a_curve_is_its_last_finite_values() -> None:
    assert recent_mean([(1, 5.0), (2, 1.0), (3, math.nan)], count=2) == 1.0
    assert recent_mean([]) is None


def test_a_scale_need_not_begin_at_zero() -> None:
    curves = [("a", curve_of([(0, 0.6), (10, 0.62)]))]
    near = line_chart(curves, label="Likeness", unit="likeness", from_zero=False)
    assert near is not None
    assert "0.615" in near
    assert ">likeness<" in near
    far = line_chart(curves, label="Likeness")
    assert far is not None
    assert "0.615" not in far
