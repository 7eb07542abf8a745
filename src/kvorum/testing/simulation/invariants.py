"""What must hold after every step of a simulated group, whatever has gone wrong.

- *Election safety.* A term has one leader at most. A member votes once in a term, also across its crashes.
- *Promises.* What a member acknowledges is safe on its disk, votes and entries; and entries are acknowledged to the leader of
  the term alone.
- *Leader completeness.* Whoever begins to lead has every entry that anybody holds for committed.
- *Log matching.* Members whose logs have an entry of the same index and term have the same one, and the same before it.
- *State-machine safety.* All members hold the same entry for committed at an index; and where one of them has applied exactly up
  to an index, its data are the same as those of any other that has.
- *Reads.* What a leader confirms for readers has everything that was committed when they asked.
- *Commitment.* A leader commits by counting only what its own term began or is followed by, and what is on the disks of a quorum.

That client histories are linearizable, and nothing acknowledged is lost, is judged at the end from what clients have seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kvorum.keyspace.table import EXPIRY_IGNORE
from kvorum.observe.digest import digest_of_everything
from kvorum.replication.raft.core.entries import NO_LIMIT, ConfState, Entry
from kvorum.replication.raft.core.messages import Message, MessageType
from kvorum.replication.raft.core.ready import Ready
from kvorum.replication.raft.core.status import Role
from kvorum.replication.raft.core.unstable import UNKNOWN_TERM

if TYPE_CHECKING:
    from kvorum.testing.simulation.node import SimulatedNode

FINGERPRINT_STEPS = 40  # of a node lie between two looks at its data
MATCHED_ENTRIES = 30  # from the end of a log are compared with the others'


class ViolationError(AssertionError):
    """Something that must never happen has happened."""


class Invariants:
    """``committed``: term and data of everything that any member has held for committed, by index."""

    def __init__(self) -> None:
        self.leaders: dict[int, int] = {}
        self.first_commits: dict[int, int] = {}
        self.votes: dict[tuple[int, int], int] = {}
        self.committed: dict[int, tuple[int, bytes]] = {}
        self.entries: dict[tuple[int, int], tuple[bytes, int]] = {}  # data, and the term of the entry before
        self.fingerprints: dict[int, tuple[bytes, str]] = {}
        self.fingerprints_compared = 0
        self.reads_confirmed = 0
        self.last_committed = 0
        self.commit_terms: dict[int, int] = {}  # in which term that was seen first
        self._states: dict[tuple[str, int], list[ConfState]] = {}
        self._watched: dict[tuple[str, int], bool] = {}
        self._seen: dict[tuple[str, int], int] = {}  # up to which index a life has been looked at
        self._last: dict[tuple[str, int], tuple[int, int]] = {}
        self._steps: dict[str, int] = {}

    # What a member says to others

    def sent(self, node: SimulatedNode, message: Message) -> None:
        """Before a message leaves."""
        if message.reject:
            return
        if message.type is MessageType.VOTE_RESPONSE:
            self._vote(message.from_, message.term, message.to)
            stored = node.group.votes.state
            self._need(
                stored.term > message.term or (stored.term, stored.vote) == (message.term, message.to),
                f"{node.name} votes in term {message.term} before that is on disk",
            )
        elif message.type is MessageType.VOTE:
            self._vote(message.from_, message.term, message.from_)
        elif message.type is MessageType.APPEND_RESPONSE:
            driver = node.driver
            assert driver is not None
            if message.term < driver.term:
                return  # it was true when it was promised; since then a later leader may have cut that off
            leader = self.leaders.get(message.term, message.to)
            self._need(
                message.to == leader or message.index == 0,
                f"{node.name} acknowledges {message.index} in term {message.term} to {message.to}, but {leader} leads it",
            )
            journal = driver.storage.journal
            self._need(
                message.index <= max(journal.durable_index, driver.storage.snapshot().index),
                f"{node.name} acknowledges {message.index}, and {journal.durable_index} is safe on its disk",
            )

    def _vote(self, voter: int, term: int, candidate: int) -> None:
        known = self.votes.setdefault((voter, term), candidate)
        self._need(known == candidate, f"{voter} votes twice in term {term}: for {known} and {candidate}")

    # What a member is

    def check(self, node: SimulatedNode) -> None:
        """After each step of a node."""
        driver = node.driver
        if driver is None or driver.sole:
            return
        self._watch_reads(node)
        self._note_configuration(node)
        raft = driver.node.raft
        log = raft.log
        self._need(
            log.applied <= log.applying <= log.committed <= log.last_index(), f"{node.name}: indexes out of order"
        )
        if raft.role == Role.LEADER:
            self._check_leader(node)
        self._check_entries(node)
        self._check_committed(node)
        steps = self._steps[node.name] = self._steps.get(node.name, 0) + 1
        if steps % FINGERPRINT_STEPS == 0:
            self.check_data(node)

    def _watch_reads(self, node: SimulatedNode) -> None:
        """A read is confirmed for an index that has everything that was committed anywhere when it was asked for."""
        place = (node.name, node.life)
        driver = node.driver
        if place in self._watched or driver is None:
            return
        self._watched[place] = True
        core: Any = driver.node
        read_index, ready = core.read_index, core.ready
        floors: dict[bytes, int] = {}

        def watched_read_index(context: bytes) -> None:
            self._need(context not in floors, f"{node.name} uses the context of a read twice")
            floors[context] = self.last_committed
            read_index(context)

        def watched_ready() -> Ready:
            found: Ready = ready()
            for read in found.read_states:
                floor = floors.get(read.context, 0)
                self._need(read.index >= floor, f"{node.name} confirms a stale read: {read.index} before {floor}")
                self.reads_confirmed += 1
            return found

        core.read_index, core.ready = watched_read_index, watched_ready

    def _check_leader(self, node: SimulatedNode) -> None:
        driver = node.driver
        assert driver is not None
        raft = driver.node.raft
        log = raft.log
        if raft.term not in self.leaders:
            self.leaders[raft.term] = raft.id
            self.first_commits[raft.term] = log.committed
            for index, (term, _) in self.committed.items():
                if self.commit_terms[index] >= raft.term:
                    continue  # by a later leader already: this one has won an election that is long past
                own = log.term(index)
                covered = own == UNKNOWN_TERM and index < log.first_index()
                self._need(
                    own == term or covered, f"{node.name} leads term {raft.term} without the committed entry {index}"
                )
        self._need(self.leaders[raft.term] == raft.id, f"two leaders in term {raft.term}")
        by_counting = log.committed != self.first_commits[raft.term]
        self._need(
            not by_counting or log.term(log.committed) == raft.term,
            f"{node.name} commits entry {log.committed} of an older term by counting",
        )

    def _check_entries(self, node: SimulatedNode) -> None:
        """Log matching, over the end of the log, whenever that has changed."""
        driver = node.driver
        assert driver is not None
        log = driver.node.raft.log
        last = log.last_index()
        end = (last, log.term(last))
        place = (node.name, node.life)
        if self._last.get(place) == end:
            return
        before = self._last.get(place, (0, 0))[0]
        self._last[place] = end
        low = max(log.first_index(), min(before, last) - MATCHED_ENTRIES, 1)
        if low > last:
            return
        term = log.term(low - 1)
        for entry in log.slice(low, last + 1, NO_LIMIT):
            known = self.entries.setdefault((entry.term, entry.index), (entry.data, term))
            same = known[0] == entry.data and (known[1] == term or UNKNOWN_TERM in (term, known[1]))
            self._need(same, f"{node.name} has another entry {entry.index} of term {entry.term} than others have")
            term = entry.term

    def _check_committed(self, node: SimulatedNode) -> None:
        driver = node.driver
        assert driver is not None
        log = driver.node.raft.log
        place = (node.name, node.life)
        leads = driver.node.raft.role == Role.LEADER
        if leads and log.committed > self.last_committed and log.term(log.committed) == driver.term:
            self._check_quorum(node, log.committed)
        low = max(log.first_index(), self._seen.get(place, 0) + 1)
        if low <= log.committed:
            for entry in log.slice(low, log.committed + 1, NO_LIMIT):
                self._commit(node, entry)
        self._seen[place] = max(log.committed, self._seen.get(place, 0))

    def _check_quorum(self, node: SimulatedNode, index: int) -> None:
        """What is committed just now is on the disks of a quorum; who is down gets the benefit of the doubt."""
        driver = node.driver
        assert driver is not None
        missing = [self._missing_quorum(node, index, state) for state in self._states.get((node.name, node.life), [])]
        self._need(
            "" in missing,
            f"{node.name} commits entry {index} of term {driver.term}, which too few have on disk: {missing}",
        )

    def _missing_quorum(self, node: SimulatedNode, index: int, state: ConfState) -> str:
        """Empty if a quorum has it; a step may commit by one configuration and then enter another one."""
        assert node.driver is not None
        for voters in filter(None, (state.voters, state.voters_outgoing)):
            having = [voter for voter in voters if self._has(node, voter, index, node.driver.term)]
            if 2 * len(having) <= len(voters):
                return f"only {having} of {voters}"
        return ""

    def _note_configuration(self, node: SimulatedNode) -> None:
        """The configuration in force, and the one before it."""
        assert node.driver is not None
        state = node.driver.node.raft.tracker.conf_state
        known = self._states.setdefault((node.name, node.life), [])
        if not known or known[-1] != state:
            known.append(state)
            del known[:-2]

    @staticmethod
    def _has(asking: SimulatedNode, voter: int, index: int, term: int) -> bool:
        node = asking.directory.nodes.get(voter)
        if node is None or not node.ready or node.group.raft_id != voter or node.driver is None:
            return True
        journal = node.driver.storage.journal
        covered = index <= node.driver.storage.snapshot().index
        return covered or (journal.durable_index >= index and journal.offsets.term(index) == term)

    def _commit(self, node: SimulatedNode, entry: Entry) -> None:
        assert node.driver is not None
        self.commit_terms.setdefault(entry.index, node.driver.term)
        known = self.committed.setdefault(entry.index, (entry.term, entry.data))
        self.last_committed = max(self.last_committed, entry.index)
        self._need(
            known == (entry.term, entry.data),
            f"two entries are committed at {entry.index}: {node.name} has term {entry.term}, another {known[0]}",
        )

    def check_data(self, node: SimulatedNode) -> None:
        """Whoever has applied exactly so much has exactly these data."""
        driver = node.driver
        if driver is None or driver.building or driver.sole or driver.executed != driver.applied:
            return
        assert node.server is not None
        context = node.server.context
        if context.effects.batch.pending:
            return  # a turn is going on
        fingerprint = fingerprint_of(node)
        known, other = self.fingerprints.setdefault(driver.applied, (fingerprint, node.name))
        self.fingerprints_compared += other != node.name
        self._need(known == fingerprint, f"{node.name} and {other} have different data after entry {driver.applied}")

    def _need(self, holds: bool, what: str) -> None:
        if not holds:
            raise ViolationError(what)


def fingerprint_of(node: SimulatedNode) -> bytes:
    """Of all data of a node, expired or not."""
    assert node.server is not None
    keyspace = node.server.context.keyspace
    mode, keyspace.expiry_mode = keyspace.expiry_mode, EXPIRY_IGNORE
    try:
        fingerprint: bytes = digest_of_everything(keyspace).hexadecimal
        return fingerprint
    finally:
        keyspace.expiry_mode = mode
