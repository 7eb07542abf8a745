"""Whole groups under faults: see ``kvorum.testing.simulation``. The runs have processes of their own, on the plain twins.

A few dozen seeds here; ``make sim SEEDS=1-5000`` runs more.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from kvorum.testing.simulation.mutations import MUTATIONS

SEEDS = "1-20"
# Bugs that only few seeds meet: the first ones that do.
LATE = {"unconfirmed_reads": "1-60", "snapshot_taken_for_installed": "56,1-100"}
MOST_S = 300


def simulate(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "KVORUM_PLAIN": "1", "PYTHONHASHSEED": "0"}
    command = [sys.executable, "-m", "kvorum.testing.simulation", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=MOST_S, check=False)


def test_groups_keep_their_promises_whatever_happens_to_them() -> None:
    run = simulate(SEEDS)
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-4000:]
    assert "no violation in 20 seeds" in run.stdout


def test_the_runs_are_not_idle() -> None:
    """Elections, confirmed reads, lost replies and compared data: what nobody meets is not tested."""
    run = simulate("1-3")
    found = re.findall(
        r"(\d+) acknowledged, (\d+) unknown, (\d+) terms, (\d+) entries, (\d+) rounds of reads, (\d+) comp", run.stdout
    )
    totals = [sum(map(int, column)) for column in zip(*found, strict=True)]
    assert len(found) == 3
    assert all(total > least for total, least in zip(totals, (300, 3, 6, 100, 50, 60), strict=True)), totals


def test_the_same_seed_gives_the_same_run() -> None:
    first, second, other = simulate("5"), simulate("5"), simulate("6")
    digest = re.search(r"digest ([0-9a-f]{8})", first.stdout)
    assert digest is not None, first.stdout + first.stderr
    assert f"digest {digest[1]}" in second.stdout
    assert f"digest {digest[1]}" not in other.stdout


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_known_bug_is_caught(name: str) -> None:
    run = simulate("--mutation", name, LATE.get(name, "1-20"))
    assert f"{name}: caught by seed" in run.stdout, run.stdout[-2000:] + run.stderr[-2000:]
