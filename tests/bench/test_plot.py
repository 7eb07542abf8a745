"""What the picture is drawn from; the drawing library is not among what tests need."""

from __future__ import annotations

from pathlib import Path

from bench.figures import Figure, Ratio, Sample
from bench.plot import draw, throughput_ratios

FIGURES = [
    Figure("pipeline", "get P1", "requests/s", Sample((2.0,)), Sample((1.0,))),
    Figure("pipeline", "get P16", "requests/s", Sample((3.0,)), Sample((1.0,))),
    Figure("types", "lpush P16", "requests/s", Sample((4.0,)), Sample((1.0,))),
    Figure("types", "blpop_handover", "requests/s", Sample((4.0,)), Sample((1.0,))),
    Figure("cpu", "get P1", "µs/request", Sample((1.0,)), Sample((1.0,))),
]


def test_throughput_is_ordered_by_test_and_pipeline() -> None:
    assert throughput_ratios(FIGURES) == {
        "get": {1: Ratio(2.0, 2.0, 2.0), 16: Ratio(3.0, 3.0, 3.0)},
        "lpush": {16: Ratio(4.0, 4.0, 4.0)},
    }


def test_nothing_is_drawn_where_no_throughput_was_measured(tmp_path: Path) -> None:
    path = tmp_path / "picture.svg"
    assert draw(FIGURES[3:], "kvorum", path) is None
    assert not path.exists()
