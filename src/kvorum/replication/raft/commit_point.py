"""What is safe in a group: the position of ``Effects`` up to which a quorum has the log, and the reads that are confirmed.

The outbox asks it in the place of the journal's flusher. Every proposal of this node stands here until its fate is known:
its entry is applied with the term it was proposed in (it is committed), or an entry of another term takes its place (it was
overruled and has no effect), or nobody learns of it in time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


class Flusher(Protocol):
    """The part of the journal's that is asked here."""

    @property
    def error(self) -> object: ...


@dataclass(frozen=True, slots=True)
class Proposal:
    """An entry of this node; ``position`` is behind its effects, ``round``: the last round of reads executed before it."""

    index: int
    term: int
    position: int
    round: int


class CommitPoint:
    """``safe``: replies up to this position may leave. ``confirmed``: reads up to this round may."""

    def __init__(self, flush: Callable[[], object], flusher: Callable[[], Flusher], position: int = 0) -> None:
        """``flush``: replies wait, do what is to be done for them."""
        self.safe = position
        self.confirmed = 0
        self._last = position  # behind the last proposal, and the messages after it
        self._flush = flush
        self._flusher = flusher
        self._proposals: deque[Proposal] = deque()

    @property
    def error(self) -> object:
        """Why the own disk cannot be trusted any more, or None."""
        return self._flusher().error

    @property
    def pending(self) -> int:
        """So many proposals whose fate is open."""
        return len(self._proposals)

    @property
    def pending_bytes(self) -> int:
        """Effects whose fate is open."""
        return self._last - self.safe

    def is_quick(self) -> bool:
        """A quorum never answers while one waits."""
        return False

    def flush_now(self) -> None:
        raise AssertionError("a quorum never answers while one waits")

    def request(self) -> None:
        self._flush()

    def begin(self, position: int) -> None:
        """Everything up to here is of no concern: it was applied, not proposed."""
        self.safe = self._last = position

    def propose(self, index: int, term: int, position: int, round_: int) -> None:
        """An entry of this node is on its way."""
        self._proposals.append(Proposal(index, term, position, round_))
        self._last = position

    def skip(self, position: int) -> None:
        """Messages: they are as safe as what was before them."""
        if not self._proposals:
            self.safe = position
        self._last = position

    def reach(self, index: int, term: int) -> bool:
        """The entry of this index and term is applied; whether that lets replies go."""
        proposals = self._proposals
        moved = False
        while proposals and proposals[0].index <= index:
            if proposals[0].index < index or proposals[0].term != term:
                break  # overruled; ``overrule`` deals with it
            proposal = proposals.popleft()
            self.safe = proposal.position
            self.confirmed = max(self.confirmed, proposal.round)
            moved = True
        if moved and not proposals:
            self.safe = self._last
        return moved

    def confirm(self, round_: int) -> None:
        """A quorum has said that this node led when these reads were executed."""
        self.confirmed = max(self.confirmed, round_)

    def index_of(self, position: int) -> int:
        """The open proposal that a position belongs to; 0: its fate is known, or it was never proposed."""
        if position <= self.safe:
            return 0
        for proposal in self._proposals:
            if proposal.position >= position:
                return proposal.index
        return 0

    def overrule(self, index: int) -> bool:
        """Entries from this index on were replaced; whether proposals were among them: they have no effect, for certain."""
        proposals = self._proposals
        found = False
        while proposals and proposals[-1].index >= index:
            proposals.pop()
            found = True
        return found

    def give_up(self) -> bool:
        """Nobody waits for what is open any more; whether anything was."""
        found = bool(self._proposals)
        self._proposals.clear()
        return found

    def forget(self) -> None:
        """Who waited was told: positions up to here mean nothing any more."""
        self.safe = self._last
