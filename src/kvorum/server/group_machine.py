"""The state machine of a group's member: the keyspace, and who may use it.

On the leader commands are executed by clients and their effects proposed; on the others what is committed is applied here, as
a start applies the log. Three gates follow from the driver's state: ``NOT_SERVING`` (commands are for the leader),
``LOADING`` (memory is not what is committed: it is being built anew, or holds what may yet be overruled), and how expiry is
treated: only the leader decides that a key has expired; elsewhere such keys are merely not seen.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

from kvorum.errors import STOPPED_LEADING
from kvorum.journal.batches import MESSAGES
from kvorum.journal.bodies import SESSIONS_FIELD
from kvorum.journal.disk import DiskError
from kvorum.journal.rdb.file_reader import FileReader
from kvorum.journal.recovery import STEP_BYTES, Recovery
from kvorum.keyspace.table import EXPIRY_DELETE, EXPIRY_HIDE, EXPIRY_IGNORE
from kvorum.replication.raft.entry_data import body_lines, decode, encode
from kvorum.resp.requests import request
from kvorum.session.pipeline import BEHIND, LOADING, NOT_SERVING

if TYPE_CHECKING:
    from kvorum.net.reactor import Reactor
    from kvorum.replication.raft.core.entries import Entry, Snapshot
    from kvorum.replication.raft.driver import RaftDriver
    from kvorum.server.group import Group
    from kvorum.server.persistence import Persistence
    from kvorum.session.context import ServerContext

QUORUM = "quorum"
LOCAL = "local"


class GroupMachine:
    """What the log of one member drives; see ``replication.raft.driver.Machine``."""

    def __init__(self, context: ServerContext, reactor: Reactor, persistence: Persistence, group: Group) -> None:
        self.context = context
        self.last_time_ms = 0  # of the last entry that was applied
        self._reactor = reactor
        self._persistence = persistence
        self._group = group
        self._work: Iterator[None] | None = None  # the building that is under way
        self._messages: deque[tuple[int, bytes]] = deque()  # that were published, and the position they wait for

    @property
    def driver(self) -> RaftDriver:
        driver = self._group.driver
        assert driver is not None, "there is no member before the driver"
        return driver

    # Applying

    def apply(self, entry: Entry) -> None:
        """Execute what is committed."""
        time_ms, database, body = decode(entry.data)
        lines, start = body_lines(body)
        keyspace = self.context.keyspace
        mode, keyspace.expiry_mode = keyspace.expiry_mode, EXPIRY_IGNORE
        try:
            if lines:
                self.context.once.results.take(lines)
            self._persistence.execute(database, body[start:] if start else body)
        finally:
            keyspace.expiry_mode = mode
        self.last_time_ms = max(self.last_time_ms, time_ms)
        if self.context.clients:
            self._reactor.wake()  # some may watch, listen or track

    def apply_members(self, entry: Entry) -> None:
        self._group.apply_members(entry)

    # Executing

    def commit(self) -> None:
        """Propose what was executed so far."""
        self.context.effects.commit()

    def _propose(self, batch: bytes, start: int, database: int, last: int, position: int) -> None:
        """The effects of a turn of this leader: see ``journal.batches.JournalSink``."""
        driver = self.driver
        if self.context.effects.published:
            self._take_messages(position)
        if len(batch) <= start:
            driver.commit_point.skip(position)
            self._send_messages()
            return
        # The time that commands were executed at: not the own clock's, where that is behind the one of who led before.
        now_ms = self.context.keyspace.now_ms
        self.last_time_ms = max(self.last_time_ms, now_ms)
        driver.write(encode(now_ms, database, batch[start:]), position)
        if driver.commit_point.pending_bytes > self.context.config.raft_uncommitted_limit:
            self.context.pipeline.gates |= BEHIND
        if not self.context.outbox.holding:
            self._group.drive_soon()  # with acks leader nobody waits, and nobody asks

    # Messages, which are for the subscribers of all members and on no disk

    def _take_messages(self, position: int) -> None:
        """What was published in a turn goes to the others when what was done before it is safe."""
        published, self.context.effects.published = self.context.effects.published, []
        messages = [words for words in published or () if words[0] in MESSAGES]
        self._messages.append((position, b"".join(request(*words) for words in messages)))

    def _send_messages(self) -> None:
        safe = self.driver.commit_point.safe
        while self._messages and self._messages[0][0] <= safe:
            self._group.publish(self._messages.popleft()[1])

    def published(self, commands: bytes) -> None:
        """What the leader's clients have published."""
        self._persistence.execute(0, commands)
        self._reactor.wake()

    def _refuse_effects(self, batch: bytes, start: int, database: int, last: int, position: int) -> None:
        """Nothing may change on a member that does not serve; if it did, memory is wrong."""
        self.driver.commit_point.skip(position)
        if len(batch) > start:
            self.context.log.warning("something was changed without being the leader: it is undone", bytes=len(batch))
            self.driver.rebuild_machine()

    # Who may use it

    @property
    def may_execute(self) -> bool:
        """Whether this member leads, and is not about to hand over: then nothing would come into the log any more."""
        return self.driver.serving and not self.driver.transferring

    def role_changed(self) -> None:
        driver, context = self.driver, self.context
        serving = self.may_execute
        effects, outbox, pipeline = context.effects, context.outbox, context.pipeline
        effects.commit()
        effects.published = [] if driver.serving and not driver.sole else None
        if driver.sole:
            journal = driver.storage.journal
            if outbox.flusher is not journal.flusher:
                journal.begin_positions(effects.position)  # so far it has counted what came from the group
            effects.journal = journal.write
            outbox.flusher = journal.flusher
            outbox.confirming = outbox.in_rounds = False
            driver.take_round = lambda: 0
            self._persistence.hold_replies()
        else:
            effects.journal = self._propose if driver.serving else self._refuse_effects
            driver.take_round = outbox.take_round
            config = context.config
            driver.prompt = config.acks.value == QUORUM
            self._hold(driver.prompt)
            outbox.confirming = driver.serving and outbox.holding and config.reads.value != LOCAL
        if serving:
            pipeline.gates &= ~NOT_SERVING
            pipeline.not_before(self.last_time_ms)
        else:
            pipeline.gates |= NOT_SERVING
            pipeline.gates &= ~BEHIND
            if not driver.serving:
                context.blocking.end_all(STOPPED_LEADING)  # the new leader decides who gets what
        self._renew_gates()
        self._group.changed()

    def _hold(self, wanted: bool) -> None:
        """Whether replies wait for a quorum."""
        outbox, point = self.context.outbox, self.driver.commit_point
        if outbox.flusher is not point:
            point.begin(self.context.effects.position)
            outbox.flusher = point
            outbox.in_rounds = True
            outbox.stop_holding()
        if wanted and not outbox.holding:
            outbox.start_holding()
        elif not wanted and outbox.holding:
            outbox.stop_holding()

    def _renew_gates(self) -> None:
        driver, context = self.driver, self.context
        uncertain = driver.building or (driver.executed > driver.applied and not driver.serving and not driver.sole)
        if uncertain:
            context.pipeline.gates |= LOADING
        else:
            context.pipeline.gates &= ~LOADING
        mode = EXPIRY_IGNORE if driver.building else EXPIRY_DELETE if self.may_execute else EXPIRY_HIDE
        context.keyspace.expiry_mode = mode

    # Waiting replies

    def released(self) -> None:
        pipeline = self.context.pipeline
        if pipeline.gates & BEHIND:
            limit_bytes = self.context.config.raft_uncommitted_limit
            if self.driver.commit_point.pending_bytes <= limit_bytes // 2:
                pipeline.gates &= ~BEHIND
        if self._messages:
            self._send_messages()
        self._reactor.log_is_safe()

    def refused(self, message: bytes) -> None:
        """Who waits is told; later positions have nothing to wait for."""
        self.context.outbox.fail(message)
        self._messages.clear()
        self.driver.commit_point.forget()
        self._reactor.log_is_safe()

    def progressed(self) -> None:
        if self.context.pipeline.gates & LOADING:
            self._renew_gates()
        self._group.progressed()

    def failed(self, error: BaseException) -> None:
        if isinstance(error, DiskError):
            self.context.log.warning("this member cannot write to its disk and ends", reason=str(error))
        else:
            self.context.log.exception("this member cannot go on and ends")
        self.context.request_shutdown(status=1)

    # Building anew

    def rebuild(self) -> None:
        """Base and log, as far as it is committed, take the place of what is in memory."""
        self.context.log.warning("another leader has overruled what was executed here: memory is built anew")
        self._begin(self._rebuilding())

    def install(self, snapshot: Snapshot) -> None:
        """A snapshot of the leader takes the place of everything, on disk and in memory."""
        self._begin(self._installing(snapshot))

    def _begin(self, work: Iterator[None]) -> None:
        self._work = work
        self._forget_everything()
        self._renew_gates()
        self.context.call_later(0, lambda: self._go_on(work))

    def _go_on(self, work: Iterator[None]) -> None:
        """One step; whoever begins something else in the meantime takes its place."""
        if self._work is not work:
            return
        try:
            next(work)
        except StopIteration:
            self._work = None
            self._renew_gates()
            self._group.changed()
            return
        except Exception as error:
            self.failed(error)
            return
        self.context.call_later(0, lambda: self._go_on(work))

    def _forget_everything(self) -> None:
        context = self.context
        self._persistence.saving.abandon()
        context.contents_change(range(len(context.keyspace.databases)))
        context.tracking.everything_modified()
        context.keyspace.flush_all(False)
        context.once.results.clear()

    def _rebuilding(self) -> Iterator[None]:
        driver = self.driver
        journal, target = driver.storage.journal, driver.applied
        recovery = Recovery(
            journal.disk, journal.directory, journal.filename, self.context.keyspace, self._persistence.execute,
            apply_to=target, stop_after=target, on_lines=lambda index, term, lines: self.context.once.results.take(lines),
        )  # fmt: skip
        try:
            while not recovery.finished:
                recovery.step()
                yield
        finally:
            recovery.close()
        driver.built(target)

    def _installing(self, snapshot: Snapshot) -> Iterator[None]:
        driver, keyspace = self.driver, self.context.keyspace
        path = self._group.take_received(snapshot)
        base = driver.storage.install(path, snapshot)
        self.context.log.notice("loading the snapshot of the leader", index=snapshot.index, term=snapshot.term)
        with driver.storage.journal.disk.view(base) as view:
            reader = FileReader(view.data, keyspace, skip_expired=False)
            try:
                while not reader.finished:
                    reader.load_some(STEP_BYTES)
                    yield
                self.context.once.results.take(reader.aux.get(SESSIONS_FIELD, b"").split(b"\r\n"))
            finally:
                del reader
        self._group.install_members(snapshot)
        driver.built(snapshot.index)

    def close(self) -> None:
        """Nothing is built any more."""
        self._work = None
