"""The core keeps Raft's promises whatever the network, the disks and the clocks do."""

from __future__ import annotations

import os

import pytest

from kvorum.replication.raft.core.config import ReadOnlyOption
from tests.replication.random_cluster import Chances, RandomCluster

# ``RAFT_SEEDS=1000-1999`` searches further.
FIRST, _, LAST = os.environ.get("RAFT_SEEDS", "0-2").partition("-")
SEEDS = range(int(FIRST), int(LAST or FIRST) + 1)
STEPS = 1500

KINDS = {
    "async": Chances(),
    "sync": Chances(async_storage_writes=False),
    "five": Chances(first_members=5, all_members=5),
    "restless": Chances(
        first_members=5,
        all_members=5,
        message_size=0,
        deliver=0.4,
        lose=0.1,
        crash=0.01,
        restart=0.1,
        cut=0.05,
        heal=0.05,
    ),
    "lease": Chances(read_only_option=ReadOnlyOption.LEASE_BASED, transfer=0.001, cut=0.03, read=0.5),
    "lease of two": Chances(read_only_option=ReadOnlyOption.LEASE_BASED, first_members=2, all_members=2),
    "changes": Chances(all_members=5, change=0.05, crash=0.002),
    "changes, sync": Chances(all_members=5, change=0.05, crash=0.002, async_storage_writes=False),
    "alone": Chances(first_members=1, all_members=2, change=0.05),
}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", KINDS)
def test_promises_are_kept(kind: str, seed: int) -> None:
    cluster = RandomCluster(seed, KINDS[kind])
    cluster.run(STEPS)
    cluster.settle()
    assert cluster.last_applied > 20, "hardly anything happened"


def test_the_same_seed_gives_the_same_run() -> None:
    runs = []
    for _ in range(2):
        cluster = RandomCluster(7, KINDS["changes"])
        cluster.run(STEPS)
        runs.append((cluster.committed, cluster.leaders, cluster.messages))
    assert runs[0] == runs[1]
