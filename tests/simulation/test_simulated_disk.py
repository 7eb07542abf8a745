"""The disk of a simulated node loses what a crash may lose, and no more."""

from __future__ import annotations

import random

from kvorum.testing.disk import FakeDisk


def written_disk() -> FakeDisk:
    disk = FakeDisk()
    disk.make_directory("/data/log")
    disk.sync_directory("/data")
    file = disk.create("/data/log/one")
    disk.append(file, b"safe")
    disk.fsync(file)
    disk.sync_directory("/data/log")
    disk.append(file, b" and not")
    disk.create("/data/log/two")
    return disk


def test_a_crash_leaves_one_of_the_states_that_it_may_leave_and_in_time_each_of_them() -> None:
    disk = written_disk()
    possible = {state.key for state in disk.crash_states() if state.after == len(disk.operations)}
    found = {disk.crash(random.Random(seed)).key for seed in range(400)}
    assert found == possible


def test_what_is_safe_outlives_every_crash() -> None:
    for seed in range(50):
        assert written_disk().crash(random.Random(seed)).files["/data/log/one"].startswith(b"safe")
