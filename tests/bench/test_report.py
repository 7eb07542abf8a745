"""How the result is shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import report
from bench.figures import Figure, Goal, Sample

WHERE = report.Setting(
    subject="kvorum", versions={"kvorum": "0.1.0", "redis": "7.0.15"}, cpu="a CPU", cores=2, pinned=True,
    system="Linux 6", python="3.11.7", commit="abc", begun="2030-01-02T03:04:05+00:00", rounds=3, seconds=1.0,
    quick=False,
)  # fmt: skip
FIGURES = [
    Figure("pipeline", "get P16", "requests/s", Sample((1.3e6, 1.4e6)), Sample((1e6, 1e6)), Goal(1.3)),
    Figure("cpu", "get P16", "µs/request", Sample((0.5,)), Sample((1.0,))),
    Figure("growth", "longest single growth step", "ms CPU", Sample((2.5,)), None, Goal(2.0, at_most=True)),
]


@pytest.mark.parametrize(
    ("value", "shown"), [(0.12345, "0.123"), (7.0, "7"), (999.0, "999"), (91234.5, "91,200"), (1523456.0, "1,520,000")]
)
def test_numbers_have_three_digits(value: float, shown: str) -> None:
    assert report.number(value) == shown


def test_markdown_has_a_row_per_figure_with_goal_and_mark() -> None:
    text = report.markdown(FIGURES, WHERE)
    assert "| get | **1.35** (1.30–1.40) ≥ 1.3 ✓<br>1,350,000 : 1,000,000 |" in text
    assert "| get | **0.50**<br>0.5 µs : 1 µs |" in text
    assert "| longest single growth step | 2.5 ms CPU |  |  | ≤ 2 ms CPU | ✗ |" in text
    assert "the server pinned to one core and the client to another" in text


def test_markdown_has_a_column_per_pipeline() -> None:
    two = [Figure("cpu", name, "µs/request", Sample((1.0,)), Sample((2.0,))) for name in ("get P1", "set P16")]
    assert report.by_pipeline(two) == [
        "| | P1 | P16 |",
        "|---|---|---|",
        "| get | **0.50**<br>1 µs : 2 µs |  |",
        "| set |  | **0.50**<br>1 µs : 2 µs |",
    ]


def test_markdown_shows_the_picture() -> None:
    assert "![Throughput of kvorum over redis-server](docs/bench.svg)" in report.markdown(
        FIGURES, WHERE, picture="docs/bench.svg"
    )


def test_markdown_shows_the_notes() -> None:
    text = report.markdown(FIGURES, WHERE, ["The machine was busy.", "Left out: spop."])
    assert text.endswith("missed.\n\nThe machine was busy.\n\nLeft out: spop.")


def test_the_terminal_shows_the_same_and_counts_the_goals() -> None:
    text = report.terminal(FIGURES, WHERE, ["a note"])
    assert "1 reached, 1 missed" in text
    assert "a note" in text


def test_the_readme_is_rewritten_between_its_marks_only(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("before <!-- bench -->old<!-- /bench --> after")
    assert report.write_readme("new", readme)
    assert report.write_readme("newer", readme)
    assert readme.read_text() == "before <!-- bench -->\nnewer\n<!-- /bench --> after"


def test_a_readme_without_marks_is_left_alone(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("<!-- /bench --> <!-- bench -->")
    assert not report.write_readme("new", readme)
    assert not report.write_readme("new", tmp_path / "none.md")
    assert readme.read_text() == "<!-- /bench --> <!-- bench -->"


def test_json_has_every_round(tmp_path: Path) -> None:
    path = report.write_json(FIGURES, WHERE, ["a note"], tmp_path)
    content = json.loads(path.read_text())
    assert content == json.loads((tmp_path / "latest.json").read_text())
    assert content["figures"][0]["subject"] == [1.3e6, 1.4e6]
    assert content["figures"][0]["verdict"] == "reached"
    assert content["setting"]["rounds"] == 3
