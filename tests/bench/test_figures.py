"""The arithmetic of the benchmark."""

from __future__ import annotations

import math

import pytest

from bench.figures import Figure, Goal, Ratio, Sample, Verdict, percentile, ratio


def test_a_ratio_is_of_medians_and_its_spread_of_pairs() -> None:
    assert ratio(Sample((2.0, 4.0, 9.0)), Sample((1.0, 4.0, 3.0))) == Ratio(4 / 3, 1.0, 3.0)


def test_samples_of_unequal_length_are_not_compared() -> None:
    with pytest.raises(ValueError, match="zip"):
        ratio(Sample((1.0,)), Sample((1.0, 2.0)))


def test_nothing_is_divided_by_zero() -> None:
    assert math.isnan(ratio(Sample((1.0,)), Sample((0.0,))).value)


@pytest.mark.parametrize(
    ("goal", "value", "low", "high", "verdict"),
    [
        (Goal(1.3), 1.3, 1.0, 1.4, Verdict.REACHED),
        (Goal(1.3), 1.29, 1.0, 1.4, Verdict.MISSED),
        (Goal(1.0, spread_counts=True), 0.99, 0.9, 1.01, Verdict.WITHIN_SPREAD),
        (Goal(1.0, spread_counts=True), 0.97, 0.9, 0.99, Verdict.MISSED),
        (Goal(0.75, at_most=True), 0.75, 0.7, 0.8, Verdict.REACHED),
        (Goal(0.75, at_most=True), 0.76, 0.7, 0.8, Verdict.MISSED),
        (Goal(0.75, at_most=True, spread_counts=True), 0.76, 0.7, 0.8, Verdict.WITHIN_SPREAD),
        (Goal(1.0), math.nan, math.nan, math.nan, Verdict.MISSED),
    ],
)
def test_a_goal_judges(goal: Goal, value: float, low: float, high: float, verdict: Verdict) -> None:
    assert goal.judge(value, low, high) is verdict


def test_a_figure_without_a_reference_is_judged_by_itself() -> None:
    figure = Figure("growth", "longest", "ms", Sample((1.9,)), None, Goal(2.0, at_most=True))
    assert figure.ratio is None
    assert figure.verdict is Verdict.REACHED


def test_a_figure_can_be_judged_by_another_value_than_its_ratio() -> None:
    figure = Figure("growth", "big", "ratio", Sample((0.95,)), Sample((1.0,)), Goal(1.0), judged=0.95)
    assert figure.verdict is Verdict.MISSED


@pytest.mark.parametrize(("share", "expected"), [(0.0, 1.0), (0.5, 5.0), (0.99, 10.0), (1.0, 10.0)])
def test_a_percentile_is_one_of_the_values(share: float, expected: float) -> None:
    assert percentile([10.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0], share) == expected
