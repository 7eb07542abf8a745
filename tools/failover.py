"""Shows what happens when the leader of a group dies: a timeline, and the outage that clients see.

    python tools/failover.py [--kills 3] [--size 3] [--pause] [SERVER OPTIONS]

A group is started on ports that the system chooses, in a directory that goes away afterwards. Writers write through every
server without pause; then the leader is killed (SIGKILL), or stopped as it is (``--pause``, SIGSTOP). Times are
milliseconds from that moment.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from kvorum.testing.cluster import Cluster
from kvorum.testing.failover import Event, Failed, Writers, log_events

AFTERWARDS = timedelta(milliseconds=200)
QUIET_S = 0.5


def show(cluster: Cluster, writers: Writers, pause: bool) -> float:
    """One failure of a leader, on the screen; the seconds until a write was acknowledged."""
    leader = cluster.wait_leader()
    time.sleep(QUIET_S)
    before = max(write.ended_s for write in writers.acknowledged)
    term = leader.info()["term"]
    moment, at = time.monotonic(), datetime.now(UTC)
    (cluster.pause if pause else cluster.kill)(leader)
    first = writers.first_after(moment)
    time.sleep(AFTERWARDS.total_seconds())

    def seen(instant_s: float, what: str) -> Event:
        return Event(at + timedelta(seconds=instant_s - moment), "client", what)

    events = [
        Event(at, leader.name, f"{'SIGSTOP' if pause else 'SIGKILL'} (it led term {term})"),
        seen(before, "the last acknowledged write before"),
        seen(first.ended_s, f"the first acknowledged write, through {first.through}"),
        *(seen(failure.ended_s, f"{failure.through}: {failure.error}") for failure in failures(writers, moment)),
        *log_events([node for node in cluster.nodes if node is not leader], at, datetime.now(UTC)),
    ]
    for event in sorted(events, key=lambda event: event.at):
        print(f"{(event.at - at).total_seconds() * 1000:9.1f} ms  {event.who:7} {event.what}")
    return first.ended_s - moment


def failures(writers: Writers, moment_s: float) -> list[Failed]:
    """The first error that each server gave since then."""
    found: dict[tuple[str, str], Failed] = {}
    for failure in writers.failed:
        if failure.ended_s >= moment_s:
            found.setdefault((failure.through, failure.error), failure)
    return list(found.values())


def main(words: Sequence[str]) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="make failover", description="Shows what happens when a leader dies.")
    parser.add_argument("--kills", type=int, default=1)
    parser.add_argument("--size", type=int, default=3, help="servers in the group")
    parser.add_argument("--pause", action="store_true", help="SIGSTOP instead of SIGKILL")
    options, others = parser.parse_known_args(words)
    outages = []
    with Cluster(options.size, *others, network="direct") as cluster, Writers(cluster) as writers:
        for number in range(options.kills):
            if number:
                print()
            failed = cluster.wait_leader()
            outages.append(show(cluster, writers, options.pause))
            if options.pause:
                cluster.resume(failed)
            else:
                cluster.start(failed)
            cluster.wait_leader()
            cluster.wait_applied()
    print("\noutage: " + ", ".join(f"{outage * 1000:.0f} ms" for outage in outages))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
