"""How the result is shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import report
from bench.figures import Client, Figure, Goal, Ratio, Sample

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


def with_client(busy: float) -> list[Figure]:
    client = Client(Sample((busy,)), Sample((0.5,)), Ratio(2.5, 2.4, 2.6))
    plain = Figure("pipeline", "get P1", "requests/s", Sample((1e5,)), Sample((1e5,)))
    return [
        plain,
        Figure("pipeline", "get P16", "requests/s", Sample((1.4e6,)), Sample((1e6,)), Goal(1.5), client=client),
    ]


def test_capacity_has_a_column_and_a_saturated_client_is_told() -> None:
    assert report.by_pipeline(with_client(0.96)) == [
        "| | P1 | P16 | P16 capacity |",
        "|---|---|---|---|",
        (
            "| get | **1.00**<br>100,000 : 100,000 "
            "| **1.40** ≥ 1.5 ✗<br>1,400,000 : 1,000,000<br>client saturated, 96% | **2.50** (2.40–2.60) |"
        ),
    ]
    text = report.terminal(with_client(0.96), WHERE, [])
    assert "1.40  ≥ 1.5  ✗  2.50 (2.40–2.60)  client saturated, 96%" in text
    assert report.CAPACITY_SENTENCE in text
    assert report.CAPACITY_SENTENCE in report.markdown(with_client(0.96), WHERE)


def test_a_client_that_could_do_more_is_not_blamed() -> None:
    assert "saturated" not in "".join(report.by_pipeline(with_client(0.9)))
    assert report.CAPACITY_SENTENCE not in report.markdown(FIGURES, WHERE)


TYPES = [
    Figure(
        "types", "lpush P16", "requests/s", Sample((2e6,)), Sample((1e6,)), Goal(1.0),
        client=Client(Sample((0.95,)), Sample((0.5,)), Ratio(2.5, 2.4, 2.6)),
    ),
    Figure("types", "rpush P16", "requests/s", Sample((9e5,)), Sample((1e6,)), Goal(1.0)),
    Figure("collections", "list of 50", "bytes/key", Sample((600,)), Sample((600,)), Goal(1.2, at_most=True)),
]  # fmt: skip


def test_the_page_has_a_row_per_type_with_the_client() -> None:
    text = report.markdown(TYPES, WHERE)
    assert "| lpush P16 | 2,000,000 | 1,000,000 | 2.00 | ≥ 1 | ✓ | 2.50 (2.40–2.60) | client saturated, 95% |" in text
    assert "| rpush P16 | 900,000 | 1,000,000 | 0.90 | ≥ 1 | ✗ |  |  |" in text
    assert "| list of 50 | 600 bytes | 600 bytes | 1.00 | ≤ 1.2 | ✓ |" in text


def test_the_readme_tells_of_types_in_short() -> None:
    text = report.for_readme(FIGURES + TYPES, WHERE, [], None)
    assert "lpush" not in text
    assert "1 of 2 goals reached, ratios 0.90 to 2.00; [docs/bench.md](docs/bench.md) has each." in text
    assert "1 of 1 goals reached, ratios 1.00 to 1.00" in text
    assert "| get | **1.35**" in text


def test_what_has_a_goal_of_its_own_is_told_by_it() -> None:
    itself = Figure(
        "snapshots", "bgsave: p99 during over before", "ratio", Sample((1.2,)), Sample((2.4,)),
        Goal(1.5, at_most=True), judged=1.2,
    )  # fmt: skip
    without = Figure("snapshots", "bgsave: duration", "s", Sample((3.0,)), Sample((4.0,)))
    text = report.for_readme([*FIGURES, itself, without], WHERE, [], None)
    assert "are written to disk**: 1 of 1 goals reached, ratios 1.20 to 1.20; [docs/bench.md]" in text
    assert "duration" not in text
    assert "| bgsave: p99 during over before | 1.2 | 2.4 | 0.50 | ≤ 1.5 itself | ✓ |" in report.markdown(
        [itself], WHERE
    )
    assert report.judged_value(FIGURES[2]) is None


def test_the_page_says_where_it_comes_from(tmp_path: Path) -> None:
    report.write_details("the tables", tmp_path / "bench.md")
    assert (tmp_path / "bench.md").read_text().startswith("# Measured beside redis-server\n\nWritten by `make bench`")


def test_json_has_the_client_in_every_round() -> None:
    assert report.to_json(with_client(0.96)[1])["client"] == {
        "busy": [0.96], "reference_busy": [0.5], "saturated": True, "capacity": [2.5, 2.4, 2.6]
    }  # fmt: skip


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
