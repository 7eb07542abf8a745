"""The consensus core against scenario scripts of etcd's Raft, which stand outside of this repository.

Everything that the scripts expect is compared, except for the lines of the Go implementation's logger.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from kvorum.replication.raft.core.changer import Changer
from kvorum.replication.raft.core.entries import NO_LIMIT
from kvorum.replication.raft.core.errors import ConfChangeError
from kvorum.replication.raft.core.quorum import JointConfig, MajorityConfig
from kvorum.replication.raft.core.tracker import ProgressTracker
from tests.replication.judge.datadriven import Directive, read_directives
from tests.replication.judge.describe import VOTE_RESULTS, describe_configuration, describe_progress
from tests.replication.judge.interaction import InteractionEnvironment, parse_changes

ROOT = Path(__file__).resolve().parents[2]
TESTDATA = Path(os.environ.get("KVORUM_RAFT_TESTDATA") or ROOT.parent / "shared" / "raft-testdata")
LOGGER_LINE = re.compile(r"\s*(?:DEBUG|INFO|WARN|ERROR|FATAL) ")
# Scripts set the election timeouts that they depend on.
SEEDS = (0, 1, 2)


def scripts(folder: str) -> list[object]:
    found = sorted((TESTDATA / folder).glob("*.txt"))
    if not found:
        reason = f"no scenario scripts in {TESTDATA / folder}; KVORUM_RAFT_TESTDATA names another folder"
        return [pytest.param(TESTDATA, marks=pytest.mark.skip(reason=reason), id=folder)]
    return [pytest.param(path, id=path.stem) for path in found]


def without_logger_lines(output: str) -> str:
    """Where nothing else is printed, the harness of the scripts prints ``ok``."""
    lines = [line.rstrip() for line in output.splitlines() if not LOGGER_LINE.match(line)]
    return "\n".join(lines).strip("\n") or "ok"


def check(path: Path, directive: Directive, output: str) -> None:
    where = f"{path.name}, line {directive.line}: {directive.command}"
    assert without_logger_lines(output) == without_logger_lines(directive.expected), where


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("path", scripts("interaction"))
def test_interaction(path: Path, seed: int) -> None:
    environment = InteractionEnvironment(seed)
    for directive in read_directives(path):
        check(path, directive, environment.handle(directive))


@pytest.mark.parametrize("path", scripts("confchange"))
def test_conf_change(path: Path) -> None:
    tracker = ProgressTracker(max_inflight=10, max_inflight_bytes=0)
    for last_index, directive in enumerate(read_directives(path)):
        changer = Changer(tracker, last_index)
        changes = parse_changes(directive.input)
        try:
            if directive.command == "simple":
                tracker.switch(*changer.simple(changes))
            elif directive.command == "enter-joint":
                tracker.switch(*changer.enter_joint(directive.option("autoleave", "false") == "true", changes))
            else:
                assert directive.command == "leave-joint"
                tracker.switch(*changer.leave_joint())
            output = f"{describe_configuration(tracker.conf_state)}\n{describe_progress(tracker.progress)}"
        except ConfChangeError as error:
            output = str(error)
        check(path, directive, output)


@pytest.mark.parametrize("path", scripts("quorum"))
def test_quorum(path: Path) -> None:
    for directive in read_directives(path):
        check(path, directive, quorum_output(directive))


def quorum_output(directive: Directive) -> str:
    """``cfg`` and ``cfgj`` are the halves; ``idx`` or ``votes`` belong to their members in order, ``_`` is none."""
    options = directive.options
    incoming = [int(text) for text in options.get("cfg", ())]
    outgoing = [int(text) for text in options.get("cfgj", ()) if text != "zero"]
    members = list(dict.fromkeys(incoming + outgoing))
    values = options.get("votes" if directive.command == "vote" else "idx", ())
    if len(members) != len(values):
        shown = " ".join("0" if value == "_" else value for value in values)
        return f"error: mismatched input (explicit or _) for voters {members}: [{shown}]"
    given = {node: value for node, value in zip(members, values, strict=True) if value != "_"}
    halves = (MajorityConfig(incoming), MajorityConfig(outgoing))
    joint, mirrored = JointConfig(*halves), JointConfig(*reversed(halves))
    if directive.command == "vote":
        votes = {node: value == "y" for node, value in given.items()}
        assert mirrored.vote_result(votes) is joint.vote_result(votes)
        if "cfgj" not in options:
            assert halves[0].vote_result(votes) is joint.vote_result(votes)
        return VOTE_RESULTS[joint.vote_result(votes)]
    assert directive.command == "committed"
    indexes = {node: int(value) for node, value in given.items()}
    committed = joint.committed_index(indexes.get)
    assert mirrored.committed_index(indexes.get) == committed
    if "cfgj" not in options:
        assert halves[0].committed_index(indexes.get) == committed
        assert JointConfig(halves[0], halves[0]).committed_index(indexes.get) == committed
    return draw_indexes(members, indexes) + ("∞" if committed == NO_LIMIT else str(committed))


def draw_indexes(members: list[int], indexes: dict[int, int]) -> str:
    """A bar for each member, as long as there are members with a smaller index."""
    if not members:
        return "<empty majority quorum>"
    count = len(members)
    lines = [" " * count + "    idx"]
    for node in sorted(members):
        index = indexes.get(node, 0)
        smaller = sum(indexes.get(other, 0) < index for other in members)
        bar = "x" * smaller + ">" + " " * (count - smaller) if node in indexes else "?" + " " * count
        lines.append(f"{bar} {index:5d}    (id={node:x})")
    return "\n".join(lines) + "\n"
