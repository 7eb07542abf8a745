"""From one configuration of the group to the next, by the simple protocol or through a joint configuration.

The simple protocol changes at most one voter, so that old and new majorities always overlap. Everything else goes through
a joint configuration, in which both the incoming and the outgoing voters must agree (chapter 4 of Ongaro's thesis). A
voter that is to become a learner stays what it is until the joint configuration is left (``learners_next``): nobody is
both at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kvorum.replication.raft.core.conf_change import ConfChangeSingle, ConfChangeType, ConfChangeV2
from kvorum.replication.raft.core.entries import ConfState
from kvorum.replication.raft.core.errors import ConfChangeError, InvariantError
from kvorum.replication.raft.core.inflights import Inflights
from kvorum.replication.raft.core.progress import Progress
from kvorum.replication.raft.core.tracker import ProgressMap, ProgressTracker

# A configuration with the progress of its members in ascending order.
Changed = tuple[ConfState, ProgressMap]


class _Draft:
    """A configuration that is being worked on. What it was made from stays as it is."""

    def __init__(self, conf_state: ConfState, progress: ProgressMap) -> None:
        self.incoming = set(conf_state.voters)
        self.outgoing = set(conf_state.voters_outgoing)
        self.learners = set(conf_state.learners)
        self.learners_next = set(conf_state.learners_next)
        self.auto_leave = conf_state.auto_leave
        self.progress = {node: progress.clone() for node, progress in progress.items()}

    def finish(self) -> Changed:
        self._check()
        conf_state = ConfState(
            voters=tuple(sorted(self.incoming)),
            learners=tuple(sorted(self.learners)),
            voters_outgoing=tuple(sorted(self.outgoing)),
            learners_next=tuple(sorted(self.learners_next)),
            auto_leave=self.auto_leave,
        )
        return conf_state, dict(sorted(self.progress.items()))

    def _check(self) -> None:
        """Nobody without progress, nobody in two roles, nothing joint in a configuration that is not."""
        members = self.incoming | self.outgoing | self.learners | self.learners_next
        marked = {node for node, progress in self.progress.items() if progress.is_learner}
        if (
            not members <= self.progress.keys()
            or self.learners & (self.incoming | self.outgoing)
            or not self.learners_next <= self.outgoing
            or marked != self.learners
            or (not self.outgoing and self.auto_leave)
        ):
            raise InvariantError(f"contradictory configuration: {vars(self)}")


class Changer:
    """Makes the configuration that follows from the tracker's. ``last_index`` is the leader's: new members are probed there."""

    def __init__(self, tracker: ProgressTracker, last_index: int) -> None:
        self.conf_state = tracker.conf_state
        self.progress = tracker.progress
        self.last_index = last_index
        self._max_inflight = tracker.max_inflight
        self._max_inflight_bytes = tracker.max_inflight_bytes

    def change(self, change: ConfChangeV2) -> Changed:
        """Whichever of the ways below the change asks for. All of them raise ConfChangeError."""
        if change.leaves_joint:
            return self.leave_joint()
        if change.enters_joint:
            return self.enter_joint(change.auto_leave, change.changes)
        return self.simple(change.changes)

    def simple(self, changes: Sequence[ConfChangeSingle]) -> Changed:
        draft = _Draft(self.conf_state, self.progress)
        if draft.outgoing:
            raise ConfChangeError("can't apply simple config change in joint config")
        self._apply(draft, changes)
        if len(draft.incoming ^ set(self.conf_state.voters)) > 1:
            raise ConfChangeError("more than one voter changed without entering joint config")
        return draft.finish()

    def enter_joint(self, auto_leave: bool, changes: Sequence[ConfChangeSingle]) -> Changed:
        draft = _Draft(self.conf_state, self.progress)
        if draft.outgoing:
            raise ConfChangeError("config is already joint")
        if not draft.incoming:
            raise ConfChangeError("can't make a zero-voter config joint")
        draft.outgoing = set(draft.incoming)
        self._apply(draft, changes)
        draft.auto_leave = auto_leave
        return draft.finish()

    def leave_joint(self) -> Changed:
        draft = _Draft(self.conf_state, self.progress)
        if not draft.outgoing:
            raise ConfChangeError("can't leave a non-joint config")
        for node in draft.learners_next:
            draft.progress[node].is_learner = True
        draft.learners |= draft.learners_next
        for node in draft.outgoing - draft.incoming - draft.learners:
            del draft.progress[node]
        draft.outgoing = set()
        draft.learners_next = set()
        draft.auto_leave = False
        return draft.finish()

    def _apply(self, draft: _Draft, changes: Iterable[ConfChangeSingle]) -> None:
        """Voters are always changed in the incoming half."""
        for change in changes:
            if change.node_id == 0:
                continue
            if change.type == ConfChangeType.ADD_NODE:
                self._make_voter(draft, change.node_id)
            elif change.type == ConfChangeType.ADD_LEARNER_NODE:
                self._make_learner(draft, change.node_id)
            elif change.type == ConfChangeType.REMOVE_NODE:
                self._remove(draft, change.node_id)
        if not draft.incoming:
            raise ConfChangeError("removed all voters")

    def _make_voter(self, draft: _Draft, node: int) -> None:
        if node not in draft.progress:
            draft.progress[node] = self._new_progress(is_learner=False)
        draft.progress[node].is_learner = False
        draft.learners.discard(node)
        draft.learners_next.discard(node)
        draft.incoming.add(node)

    def _make_learner(self, draft: _Draft, node: int) -> None:
        progress = draft.progress.get(node)
        if progress is None:
            draft.progress[node] = self._new_progress(is_learner=True)
            draft.learners.add(node)
        elif not progress.is_learner:
            self._remove(draft, node)
            draft.progress[node] = progress
            if node in draft.outgoing:
                draft.learners_next.add(node)
            else:
                progress.is_learner = True
                draft.learners.add(node)

    def _remove(self, draft: _Draft, node: int) -> None:
        draft.incoming.discard(node)
        draft.learners.discard(node)
        draft.learners_next.discard(node)
        if node not in draft.outgoing:
            draft.progress.pop(node, None)

    def _new_progress(self, *, is_learner: bool) -> Progress:
        inflights = Inflights(self._max_inflight, self._max_inflight_bytes)
        progress = Progress(max(self.last_index, 1), inflights, is_learner=is_learner)
        # Else a check of the quorum could depose the leader before the new member had a chance to answer.
        progress.recent_active = True
        return progress


def conf_state_after(conf_state: ConfState, change: ConfChangeV2) -> ConfState:
    """The configuration that a change leads to, for who has no state machine at hand. Raises ConfChangeError."""
    tracker = ProgressTracker(1, 1)
    tracker.switch(*restore(tracker, 0, conf_state))
    return Changer(tracker, 0).change(change)[0]


def restore(tracker: ProgressTracker, last_index: int, conf_state: ConfState) -> Changed:
    """The configuration that a snapshot records, built up from nothing by allowed changes. Raises InvariantError if it
    cannot be reached so."""
    changer = Changer(ProgressTracker(tracker.max_inflight, tracker.max_inflight_bytes), last_index)
    try:
        restored, progress = _rebuild(changer, conf_state)
    except ConfChangeError as error:
        raise InvariantError(f"{conf_state} is no configuration: {error}") from error
    if restored != conf_state.normalized():
        raise InvariantError(f"{conf_state} is no configuration, {restored} comes nearest")
    return restored, progress


def _rebuild(changer: Changer, conf_state: ConfState) -> Changed:
    """A joint one is built by making its outgoing half first and then entering from there."""
    if not conf_state.voters_outgoing:
        for single in _incoming(conf_state):
            changer.conf_state, changer.progress = changer.simple((single,))
        return changer.conf_state, changer.progress
    for node in conf_state.voters_outgoing:
        changer.conf_state, changer.progress = changer.simple((ConfChangeSingle(ConfChangeType.ADD_NODE, node),))
    removals = [ConfChangeSingle(ConfChangeType.REMOVE_NODE, node) for node in conf_state.voters_outgoing]
    return changer.enter_joint(conf_state.auto_leave, removals + _incoming(conf_state))


def _incoming(conf_state: ConfState) -> list[ConfChangeSingle]:
    return [ConfChangeSingle(ConfChangeType.ADD_NODE, node) for node in conf_state.voters] + [
        ConfChangeSingle(ConfChangeType.ADD_LEARNER_NODE, node)
        for node in conf_state.learners + conf_state.learners_next
    ]
