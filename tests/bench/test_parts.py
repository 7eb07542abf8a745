"""In which order everything is measured, and what the goals are."""

from __future__ import annotations

from typing import Any, cast

import pytest

from bench import parts
from bench.contenders import Contender, Cores
from bench.figures import Verdict
from bench.load import Load, Outcome
from bench.parts import QUICK, Bench, many_keys, turns

FASTER = {("kvorum", 0): 0.93, ("kvorum", 1): 1.0, ("redis", 0): 0.94, ("redis", 1): 1.0}


def test_servers_and_loads_alternate_in_every_round() -> None:
    assert turns(0, 1) == [(0, 0), (1, 0)]
    assert turns(1, 1) == [(1, 0), (0, 0)]
    assert turns(0, 2) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert turns(1, 2) == [(1, 1), (1, 0), (0, 1), (0, 0)]


class Named:
    """Stands for a server."""

    def __init__(self, name: str) -> None:
        self.name = name


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """The runs that were made, as server and database; each is as fast as FASTER says."""
    made: list[tuple[str, int]] = []

    def one_run(
        _bench: Bench, contender: Contender, _test: object, load: Load, _requests: int, _flush: bool
    ) -> tuple[Outcome, float]:
        made.append((contender.name, load.database))
        lucky = contender.name == "kvorum" and load.database == 0 and made.count(("kvorum", 0)) % 4 == 2
        return Outcome(1e5 * FASTER[contender.name, load.database] * (1.1 if lucky else 1), 1.0, 1.0, 1.0), 1.0

    monkeypatch.setattr(parts, "one_run", one_run)
    monkeypatch.setattr(parts, "fill", lambda *_, **__: 0.0)
    return made


def test_many_keys_are_measured_in_turn_with_few(runs: list[tuple[str, int]]) -> None:
    contenders = [cast(Contender, Named(name)) for name in ("kvorum", "redis")]
    bench = Bench(QUICK, Cores(None, None), cast(Any, None), cast(Any, None), lambda _: None)
    figures = list(many_keys(bench, contenders))
    assert [figure.name.split(",")[0] for figure in figures] == ["set P1", "get P1", "set P16", "get P16"]
    assert runs[4:8] == [("kvorum", 1), ("kvorum", 0), ("redis", 1), ("redis", 0)]
    assert runs[8:12] == [("redis", 0), ("redis", 1), ("kvorum", 0), ("kvorum", 1)]
    assert all(figure.ratio is not None and figure.ratio.high > 1 for figure in figures)
    # 0.93 is enough where 0.9 is the goal; where redis-server's own 0.94 is, no spread makes up for it.
    assert [figure.verdict for figure in figures] == [Verdict.REACHED] * 2 + [Verdict.MISSED] * 2
