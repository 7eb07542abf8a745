"""The leader's view of the group: the configuration, everybody's progress, and the votes of an election."""

from __future__ import annotations

from kvorum.replication.raft.core.entries import ConfState
from kvorum.replication.raft.core.inflights import Inflights
from kvorum.replication.raft.core.progress import Progress
from kvorum.replication.raft.core.quorum import JointConfig, MajorityConfig, VoteResult

# By id, in ascending order: whoever walks it takes the members in the same order on every machine and in every run.
ProgressMap = dict[int, Progress]


class ProgressTracker:
    """``conf_state`` is the configuration that is applied here, which may trail the one in the log."""

    __slots__ = ("conf_state", "max_inflight", "max_inflight_bytes", "progress", "voters", "votes")

    def __init__(self, max_inflight: int, max_inflight_bytes: int) -> None:
        self.max_inflight = max_inflight
        self.max_inflight_bytes = max_inflight_bytes
        self.conf_state = ConfState()
        self.voters = JointConfig()
        self.progress: ProgressMap = {}
        self.votes: dict[int, bool] = {}

    def switch(self, conf_state: ConfState, progress: ProgressMap) -> None:
        """Use another configuration, whose progress is in ascending order."""
        self.conf_state = conf_state
        self.voters = JointConfig(MajorityConfig(conf_state.voters), MajorityConfig(conf_state.voters_outgoing))
        self.progress = progress

    def restart(self, own: int, last_index: int) -> None:
        """Forget what was known of others: a term begins, and with it everybody is probed from the end of the log."""
        for node, progress in self.progress.items():
            self.progress[node] = Progress(
                last_index + 1,
                Inflights(self.max_inflight, self.max_inflight_bytes),
                match=last_index if node == own else 0,
                is_learner=progress.is_learner,
            )

    def is_only_voter(self, node: int) -> bool:
        return self.voters.incoming.ids == (node,) and not self.voters.outgoing.ids

    def committed(self) -> int:
        """The highest index that is known to be on the disks of a quorum."""
        return self.voters.committed_index(self._match)

    def _match(self, voter: int) -> int | None:
        progress = self.progress.get(voter)
        return None if progress is None else progress.match

    def quorum_active(self) -> bool:
        """Whether a quorum was heard of since the last check."""
        active = {node: progress.recent_active for node, progress in self.progress.items() if not progress.is_learner}
        return self.voters.vote_result(active) is VoteResult.WON

    def reset_votes(self) -> None:
        self.votes.clear()

    def record_vote(self, node: int, granted: bool) -> None:
        """Only the first vote of a node counts."""
        self.votes.setdefault(node, granted)

    def tally_votes(self) -> VoteResult:
        return self.voters.vote_result(self.votes)
