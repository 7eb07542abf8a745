"""Which sections INFO shows, and how they are written."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from kvorum.observe.command_sections import errorstats
from kvorum.observe.info import DEFAULT, SECTIONS, chosen_sections, info_text
from kvorum.observe.sections import human
from kvorum.observe.statistics import Statistics


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ([], [name for name in SECTIONS if name in DEFAULT]),
        (["default"], [name for name in SECTIONS if name in DEFAULT]),
        (["all"], list(SECTIONS)),
        (["everything"], [*SECTIONS, "raft"]),
        (["raft", "server"], ["server", "raft"]),
        (["cpu", "clients", "cpu"], ["clients", "cpu"]),
        (["module_list"], ["modules"]),
        (["nonsense"], []),
    ],
)
def test_choosing(words: list[str], names: list[str]) -> None:
    assert chosen_sections(words, ["server", "raft"]) == names


def test_providers_replace_extend_and_add() -> None:
    server: Any = SimpleNamespace(
        info_providers={"cluster": lambda: {"cluster_enabled": 1, "extra": "x"}, "raft": lambda: {"term": 7}}
    )
    assert info_text(server, [b"Cluster", b"RAFT"]) == (
        b"# Cluster\r\ncluster_enabled:1\r\nextra:x\r\n\r\n# Raft\r\nterm:7\r\n"
    )
    assert info_text(server, [b"nonsense"]) == b""


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0B"), (1023, "1023B"), (1024, "1.00K"), (941_272, "919.21K"), (25_276_514_304, "23.54G"), (1 << 50, "1.00P")],
)
def test_bytes_for_people(count: int, shown: str) -> None:
    assert human(count) == shown


def test_error_codes_cannot_break_the_format() -> None:
    statistics = Statistics()
    for code in (b"Z", b"A:B#\r\n", b"\xff"):
        statistics.count_error(code)
    server: Any = SimpleNamespace(statistics=statistics)
    assert list(errorstats(server)) == ["errorstat_A_B___", "errorstat_Z", "errorstat_\udcff"]
