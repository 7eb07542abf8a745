"""Medians, spreads, ratios and goals."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

# A client that is busy for more than this share of the time is what limits the throughput.
SATURATED = 0.9


@dataclass(frozen=True, slots=True)
class Sample:
    """Repeated measurements of one quantity; at least one."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.values)

    @property
    def low(self) -> float:
        """The smallest round."""
        return min(self.values)

    @property
    def high(self) -> float:
        """The largest round."""
        return max(self.values)


@dataclass(frozen=True, slots=True)
class Ratio:
    """kvorum's figure over redis-server's: of the medians, and between which values the pairs of rounds lie."""

    value: float
    low: float
    high: float


def ratio(subject: Sample, reference: Sample) -> Ratio:
    """Compare two samples whose values belong together round by round."""
    pairs = [divide(one, other) for one, other in zip(subject.values, reference.values, strict=True)]
    return Ratio(divide(subject.median, reference.median), min(pairs), max(pairs))


def divide(one: float, other: float) -> float:
    """``one / other``, not a number where that is meaningless."""
    return one / other if other else math.nan


@dataclass(frozen=True, slots=True)
class Client:
    """What the client's own limits hide of a throughput figure."""

    busy: Sample
    """CPU time over time of the client while it pressed kvorum."""
    reference_busy: Sample
    """The same while it pressed redis-server."""
    capacity: Ratio | None = None
    """redis-server's CPU time per request over kvorum's: the ratio that a client without limits would see if CPU time
    alone decides; None where the CPU time of the requests is not known."""

    @property
    def saturated(self) -> bool:
        """Whether kvorum was pressed as hard as the client can."""
        return self.busy.median > SATURATED


class Verdict(Enum):
    """How a figure stands to its goal."""

    REACHED = "reached"
    WITHIN_SPREAD = "within the spread"
    MISSED = "missed"

    @property
    def mark(self) -> str:
        """One character for tables."""
        return {Verdict.REACHED: "✓", Verdict.WITHIN_SPREAD: "≈", Verdict.MISSED: "✗"}[self]


@dataclass(frozen=True, slots=True)
class Goal:
    """What a figure must reach: at least or at most ``limit``."""

    limit: float
    at_most: bool = False
    spread_counts: bool = False
    """Whether it is enough that the goal lies within the spread of the rounds."""

    def __str__(self) -> str:
        return f"{'≤' if self.at_most else '≥'} {self.limit:.3g}"

    def judge(self, value: float, low: float | None = None, high: float | None = None) -> Verdict:
        """Compare the figure, and where the goal allows it the better end of its spread."""
        best = low if self.at_most else high
        if self._met_by(value):
            return Verdict.REACHED
        if self.spread_counts and best is not None and self._met_by(best):
            return Verdict.WITHIN_SPREAD
        return Verdict.MISSED

    def _met_by(self, value: float) -> bool:
        return value <= self.limit if self.at_most else value >= self.limit


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the result: a quantity of both servers, their ratio, and the goal if there is one.

    ``judged`` is the figure that the goal speaks of where it is not the ratio.
    """

    part: str
    name: str
    unit: str
    subject: Sample
    reference: Sample | None = None
    goal: Goal | None = None
    judged: float | None = None
    client: Client | None = None

    @property
    def ratio(self) -> Ratio | None:
        """kvorum's figure over redis-server's, if both were measured."""
        return None if self.reference is None else ratio(self.subject, self.reference)

    @property
    def verdict(self) -> Verdict | None:
        """How it stands to its goal."""
        if self.goal is None:
            return None
        if self.judged is not None:
            return self.goal.judge(self.judged)
        compared = self.ratio
        if compared is None:
            return self.goal.judge(self.subject.median, self.subject.low, self.subject.high)
        return self.goal.judge(compared.value, compared.low, compared.high)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of the values that at least ``share`` (0 … 1) of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]
