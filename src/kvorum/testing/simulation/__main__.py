"""Run seeds, say what they have seen, and which have failed.

``python -m kvorum.testing.simulation [--story] [--mutation NAME] SEEDS``, where SEEDS is ``7``, ``1-100`` or ``1-100,200``.
``--story`` tells what happened in a seed that fails; ``--mutation`` puts a bug in, which one of the seeds has to catch.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from contextlib import nullcontext


def seeds_of(word: str) -> list[int]:
    """``1-3,7``."""
    seeds: list[int] = []
    for part in word.split(","):
        first, _, last = part.partition("-")
        seeds += range(int(first), int(last or first) + 1)
    return seeds


def restart_plain() -> None:
    """The simulation runs on the plain twins, and always with the same order of hashes."""
    if os.environ.get("KVORUM_PLAIN") != "1" or os.environ.get("PYTHONHASHSEED") != "0":
        environment = {**os.environ, "KVORUM_PLAIN": "1", "PYTHONHASHSEED": "0"}
        os.execve(sys.executable, [sys.executable, "-m", "kvorum.testing.simulation", *sys.argv[1:]], environment)


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def run_seed(seed: int, mutation: str, story: bool) -> bool:
    """Whether it went well."""
    from kvorum.testing.simulation.mutations import MUTATIONS  # only now: on the plain twins
    from kvorum.testing.simulation.simulation import Simulation

    simulation = Simulation(seed)
    simulation.scheduler.story = [] if story else None
    began_s = time.monotonic()
    try:
        with MUTATIONS[mutation]() if mutation else nullcontext():
            outcome = simulation.run()
    except Exception as error:
        say("\n".join(simulation.scheduler.story or ()))
        say(f"seed {seed}: {type(error).__name__}: {error}")
        if story:
            raise
        return False
    say(f"{outcome}, {time.monotonic() - began_s:.1f} s")
    return True


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m kvorum.testing.simulation", description=__doc__)
    parser.add_argument("seeds", nargs="+")
    parser.add_argument("--story", action="store_true")
    parser.add_argument("--mutation", default="")
    options = parser.parse_args(words)
    seeds = seeds_of(",".join(options.seeds))
    failed = []
    for seed in seeds:
        if not run_seed(seed, options.mutation, options.story):
            failed.append(seed)
            if options.mutation:
                say(f"{options.mutation}: caught by seed {seed}")
                return 0
    if options.mutation:
        say(f"{options.mutation}: not caught by {len(seeds)} seeds")
        return 1
    say(f"{len(failed)} of {len(seeds)} seeds failed: {failed}" if failed else f"no violation in {len(seeds)} seeds")
    return 1 if failed else 0


if __name__ == "__main__":
    restart_plain()
    sys.exit(main(sys.argv[1:]))
