"""A server's membership in a Raft group: its parts put together, and the group as sessions and commands see it.

Life of a member: ``open`` reads the votes file before the log is read, since that says how far the log is committed;
``recovered`` goes on from what the log held, or bootstraps a group of one, or leaves the node waiting to be let in
(``Forming``); ``start`` begins to tick. A member ticks, and everything else happens because a message came, a client wrote or
an fsync ended.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from kvorum.errors import StartupError
from kvorum.journal.disk import FileView
from kvorum.journal.manifest import Manifest
from kvorum.journal.recovery import ALL
from kvorum.replication.raft.core.changer import conf_state_after
from kvorum.replication.raft.core.conf_change import ConfChange, ConfChangeType, decode_conf_change
from kvorum.replication.raft.core.config import Config as CoreConfig
from kvorum.replication.raft.core.config import ReadOnlyOption
from kvorum.replication.raft.core.entries import Entry, HardState, Snapshot
from kvorum.replication.raft.core.errors import ProposalDroppedError
from kvorum.replication.raft.core.messages import Message
from kvorum.replication.raft.core.raw_node import RawNode
from kvorum.replication.raft.core.status import Status
from kvorum.replication.raft.driver import RaftDriver
from kvorum.replication.raft.entry_data import MEMBERS_LINE, from_disk
from kvorum.replication.raft.forming import removal_refusal
from kvorum.replication.raft.handshake import Identity
from kvorum.replication.raft.hard_state import LARGEST_ID, HardStateFile
from kvorum.replication.raft.members import Member, Members, parse_address
from kvorum.replication.raft.pacing import Pacing
from kvorum.replication.raft.storage import JournalStorage
from kvorum.replication.raft.wire import Kind
from kvorum.server.group_machine import GroupMachine
from kvorum.session.pipeline import NOT_SERVING

if TYPE_CHECKING:
    from kvorum.journal.recovery import Recovery
    from kvorum.net.reactor import Reactor
    from kvorum.replication.raft.joining import Door
    from kvorum.server.persistence import Persistence
    from kvorum.session.context import ServerContext
    from kvorum.session.group import Done

READS = {"linearizable": ReadOnlyOption.SAFE, "local": ReadOnlyOption.SAFE, "lease": ReadOnlyOption.LEASE_BASED}
NOBODY: Mapping[int, tuple[str, int]] = MappingProxyType({})
# What one message of entries and all that are under way to one member may have. A round trip on any network moves more than
# enough so, and what a member that is far behind needs is read from files in pieces that do not hold the others up.
MESSAGE_BYTES = 256 << 10
WINDOW_BYTES = 4 << 20
FIRST_INDEX = 1
FIRST_TERM = 1
CHANGE_TICKS = 200  # so long a change of members may take


class Group:
    """The membership of one server; ``session.group.GroupView``. ``transport`` is handed in before ``start``."""

    def __init__(self, context: ServerContext, reactor: Reactor, persistence: Persistence) -> None:
        self.context = context
        self.machine = GroupMachine(context, reactor, persistence, self)
        self.driver: RaftDriver | None = None
        self.make_transport: Callable[[Group], Any] | None = None  # to be handed in before the log is read
        self.transport: Any = None
        self.describe: Callable[[], Member] | None = None  # this node as others are to know it
        self.door: Door  # handed in with it: where servers ask to be let in
        self.invite: Callable[[str], object]
        self._met: dict[int, tuple[str, int]] = {}
        self.name = ""
        self.members = Members()
        self.directory = ""
        self._votes: HardStateFile | None = None
        self._reactor = reactor
        self._persistence = persistence
        self._listeners: list[Callable[[], object]] = []
        self._waiting: list[tuple[int, int, Callable[[], object]]] = []
        self._received: dict[tuple[int, int], str] = {}
        self._base_members = b""  # as of the base that is being written
        self._tick_ns = context.config.raft_heartbeat_ms * 1_000_000
        self._next_tick_ns = 0
        self._timer: Any = None
        self._drive_wanted = False
        self._story = (0, 0)  # leader and term as the log told them last
        self._change: tuple[int, Done] | None = None
        self._transfer: Done | None = None
        self._changes: list[Entry] = []  # of members, that the start has found committed in the log
        context.pipeline.gates |= NOT_SERVING
        self._pacing = Pacing(context.clock, lambda delay_s, call: context.call_later(delay_s, call), self._take_slowly)
        reactor.on_wake = self._look_at_the_disk

    # What sessions and commands see

    @property
    def opened(self) -> bool:
        """Whether this node knows who it is: the log has been read."""
        return self.transport is not None

    @property
    def raft_id(self) -> int:
        return self.votes.raft_id

    @property
    def votes(self) -> HardStateFile:
        assert self._votes is not None, "the votes file is opened before the log is read"
        return self._votes

    @property
    def group_id(self) -> str:
        return self.votes.group_id

    @property
    def term(self) -> int:
        return self.driver.term if self.driver is not None else 0

    @property
    def commit_index(self) -> int:
        return self.driver.commit_index if self.driver is not None else 0

    @property
    def applied_index(self) -> int:
        return self.driver.applied_index if self.driver is not None else 0

    @property
    def offset(self) -> int:
        return self.applied_index

    @property
    def is_leader(self) -> bool:
        return self.driver is not None and self.driver.is_leader

    @property
    def serving(self) -> bool:
        return self.driver is not None and self.driver.serving

    @property
    def sole(self) -> bool:
        """Whether this is the only member, and leads."""
        return self.driver is not None and self.driver.sole

    @property
    def leader(self) -> Member | None:
        return self.members.get(self.driver.lead) if self.driver is not None else None

    def may_decide(self) -> bool:
        """Whether keys may expire and be evicted: only the leader decides that, and only while a quorum is near."""
        return self.driver is not None and self.machine.may_execute and self.driver.quorum_is_near()

    def status(self) -> Status:
        assert self.driver is not None, "this node belongs to no group yet"
        self.driver.leave_sole()
        return self.driver.node.status()

    def on_change(self, call: Callable[[], object]) -> None:
        self._listeners.append(call)

    def acks_changed(self) -> None:
        """CONFIG SET acks."""
        if self.driver is not None:
            self.machine.role_changed()

    def changed(self) -> None:
        """Leader, term, members or ``serving`` may have changed."""
        driver = self.driver
        if driver is not None and (driver.lead, driver.term) != self._story:
            self._tell(driver)
        if driver is not None and not driver.transferring:
            self._end_transfer(None if not driver.is_leader else "the other member did not take over in time")
        for call in self._listeners:
            call()

    def _tell(self, driver: RaftDriver) -> None:
        """The story for the log: who leads since when."""
        before, self._story = self._story, (driver.lead, driver.term)
        leader = self.members.get(driver.lead)
        name = leader.name if leader is not None else driver.lead
        if driver.lead == 0:
            if before[0]:
                self.context.log.warning("leader lost", term=driver.term)
        elif driver.is_leader:
            self.context.log.notice("this node leads", term=driver.term)
        elif driver.lead != before[0] or driver.term != before[1]:
            self.context.log.notice("new leader", leader=name, term=driver.term)

    # Acknowledgements

    def _index_of(self, position: int) -> int:
        """The entry that has everything up to a position, or one behind it."""
        driver = self.driver
        assert driver is not None
        return driver.commit_point.index_of(position) or driver.applied_index

    def acknowledged(self, position: int) -> int:
        driver = self.driver
        if driver is None or not driver.is_leader or driver.sole:
            return 0
        index = self._index_of(position)
        progress = driver.node.raft.tracker.progress
        return sum(one.match >= index for node, one in progress.items() if node != self.raft_id)

    def when_acknowledged(self, position: int, count: int, call: Callable[[], object]) -> None:
        self.context.effects.commit()
        self._waiting.append((position, count, call))
        self.drive_soon()

    def reachable_replicas(self) -> int:
        driver = self.driver
        if driver is None or not driver.is_leader or driver.sole:
            return 0
        oldest = driver.ticks - self._election_ticks
        progress = driver.node.raft.tracker.progress
        return sum(driver.heard.get(node, -1) >= oldest for node in progress if node != self.raft_id)

    def progressed(self) -> None:
        """Something was done by the driver."""
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for position, count, call in waiting:
                if not self.is_leader or self.acknowledged(position) >= count:
                    call()
                else:
                    self._waiting.append((position, count, call))

    # Time

    @property
    def _election_ticks(self) -> int:
        config = self.context.config
        return max(config.raft_election_ms // config.raft_heartbeat_ms, 2)

    def start(self) -> None:
        """Begin to tick; the only member of a group need not wait for anybody."""
        self._next_tick_ns = self.context.clock.monotonic_ns() + self._tick_ns
        self._timer = self.context.call_later(self._tick_ns / 1e9, self._tick)
        self._lead_alone()

    def _lead_alone(self) -> None:
        driver = self.driver
        if driver is not None and self.members.conf_state.voters == (self.raft_id,):
            driver.node.campaign()
            driver.drive()

    def _tick(self) -> None:
        now_ns = self.context.clock.monotonic_ns()
        count = 1 + max(now_ns - self._next_tick_ns, 0) // self._tick_ns
        self._next_tick_ns += count * self._tick_ns
        self._timer = self.context.call_later(max(self._next_tick_ns - now_ns, 0) / 1e9, self._tick)
        driver = self.driver
        if driver is None:
            return
        driver.tick(min(count, self._election_ticks))
        if not driver.sole and driver.enter_sole():
            self.machine.role_changed()
        if self._change is not None and driver.ticks > self._change[0]:
            self._end_change("it took too long; it may still happen")

    def _catch_up(self) -> None:
        """Ticks that a pause has held up come before what rests on them."""
        late = (self.context.clock.monotonic_ns() - self._next_tick_ns) // self._tick_ns
        if late > 0 and self.driver is not None and self._timer is not None:
            self._next_tick_ns += late * self._tick_ns
            self.driver.tick(min(late, self._election_ticks))

    def _look_at_the_disk(self) -> None:
        """Something may be safe by now that others were promised."""
        if self.driver is not None:
            self.driver.look_at_the_disk()

    def drive_soon(self) -> None:
        """Have the driver look after this turn."""
        if not self._drive_wanted:
            self._drive_wanted = True
            self.context.call_later(0, self._drive)

    def _drive(self) -> None:
        self._drive_wanted = False
        if self.driver is not None:
            self.driver.drive()

    # The start

    def open(self, directory: str, name: str) -> int:
        """Read the votes file; the last entry that may be applied at the start.

        :raises HardStateError: it cannot be used. DiskError.
        """
        config, disk = self.context.config, self._persistence.disk
        self.name = name
        self.directory = config.raft_dir or directory
        if not disk.exists(self.directory):
            disk.make_directory(self.directory)
            disk.sync_directory(posixpath.dirname(self.directory) or ".")
        self._votes = HardStateFile.open(disk, self.directory)
        return self._votes.state.commit if self._votes is not None and self._votes.group_id else ALL

    def recovered(self, directory: str, recovery: Recovery) -> None:
        """The log has been read: go on as a member, found a group, or wait to be let in.

        :raises StartupError: the directory has data that do not belong to a group.
        """
        if not (self.context.config.raft_bootstrap or (self._votes is not None and self._votes.group_id)):
            self._refuse_data(directory, recovery)
        if self._votes is None:
            raft_id = 1 + self.context.random.randrange(LARGEST_ID)
            self._votes = HardStateFile.create(self._persistence.disk, self.directory, raft_id)
        assert self.make_transport is not None
        self.transport = self.make_transport(self)
        if self._votes.group_id:
            self._check_log(directory, recovery)
            self._resume(directory, recovery)
        elif self.context.config.raft_bootstrap:
            self._bootstrap(directory, recovery.manifest, recovery.index, recovery.term)

    def _refuse_data(self, directory: str, recovery: Recovery) -> None:
        """Who is let into a group gets its data, and must have none. What a start has left that ended just before it was in is
        an empty log; it is written anew. Raises StartupError."""
        if recovery.index > FIRST_INDEX or recovery.adopted or any(map(len, self.context.keyspace.databases)):
            raise StartupError(
                f"{directory}: there are data that belong to no group; start with --raft-bootstrap to found one with them, or "
                "take another directory (dir) to join one"
            )

    def _check_log(self, directory: str, recovery: Recovery) -> None:
        """A member whose log is gone does not know what it has acknowledged, and could elect somebody who lacks that. Raises
        StartupError."""
        known = self.votes.state.commit
        if recovery.manifest is None or recovery.index < known:
            raise StartupError(
                f"{directory}: the log ends with entry {recovery.index}, and this member of a group had {known} "
                f"({self.directory}): put its log back, or remove the member from the group and start it with empty directories"
            )

    def note_lines(self, index: int, term: int, lines: list[bytes]) -> None:
        """Annotation lines of an entry that is executed at the start."""
        if lines[0].startswith(MEMBERS_LINE):
            self._changes.append(from_disk(index, term, 0, 0, b"".join(line + b"\r\n" for line in lines)))

    @property
    def identity(self) -> Identity:
        return Identity(self.raft_id, self.name, self.group_id, self.context.run_id)

    def _bootstrap(self, directory: str, before: Manifest | None, index: int, term: int) -> None:
        """Found a group whose only member this is. What is in memory becomes its first base."""
        index, term = max(index, FIRST_INDEX), max(term, FIRST_TERM)
        group_id = f"{self.context.random.getrandbits(128):032x}"
        assert self.describe is not None
        self.members = Members.of(self.describe())
        aux = [(b"kvorum-index", b"%d" % index), (b"kvorum-term", b"%d" % term), *self._members_aux()]
        self._persistence.make_directory(directory)
        filename = self.context.config.appendfilename
        manifest = self._persistence.saving.first_base(directory, filename, before, aux)
        self._persistence.begin(directory, manifest, index=index, term=term)
        self.votes.set_group(group_id)
        self.votes.save(HardState(term, 0, index), sync=True)
        self._become_member(Snapshot(index, term, self.members.conf_state, self.members.encode()), applied=index)
        self.context.log.notice("a group was founded", group=group_id, member=self.name)

    def meet(self, raft_id: int, address: str) -> None:
        """This member leads and is there, though what is applied here may not say so, or not yet."""
        self._met = {raft_id: parse_address(address)}
        self._set_peers()

    def _set_peers(self) -> None:
        self.transport.set_peers(self.members.peers(self.raft_id) | self._met)

    def found(self) -> None:
        """Found the group whose other members are to be let in."""
        self._bootstrap(self.log_directory, None, 0, 0)
        self._lead_alone()

    def join(self, group_id: str, contacts: Mapping[int, tuple[str, int]] = NOBODY) -> None:
        """The group has let this node in; its leader will send everything. ``contacts``: members that are known already, and
        where; whoever of them leads must be able to reach this node before it knows the members."""
        self._persistence.make_directory(self.log_directory)
        self._persistence.begin(self.log_directory, Manifest(), index=0, term=0)
        self.votes.set_group(group_id)
        self._become_member(Snapshot(), applied=0)
        self._met = {raft_id: address for raft_id, address in contacts.items() if raft_id != self.raft_id}
        self._set_peers()

    @property
    def log_directory(self) -> str:
        """Where base and log of the group are."""
        config = self.context.config
        return posixpath.join(config.dir, config.appenddirname)

    def _resume(self, directory: str, recovery: Recovery) -> None:
        manifest = recovery.manifest or Manifest()
        self._persistence.begin(
            directory, manifest, index=recovery.index, term=recovery.term, resume=recovery.resume,
            offsets=recovery.offsets,
        )  # fmt: skip
        base = self.members = Members.decode(recovery.members) if recovery.members else Members()
        for entry in self._changes:
            change = decode_conf_change(entry).as_v2()
            self.members = self.members.apply(change, conf_state_after(self.members.conf_state, change))
        self._changes = []
        self.machine.last_time_ms = recovery.time_ms
        snapshot = Snapshot(recovery.base_index, recovery.base_term, base.conf_state, recovery.members)
        self._become_member(snapshot, applied=recovery.applied)

    def _become_member(self, snapshot: Snapshot, applied: int) -> None:
        context, journal = self.context, self._persistence.journal
        assert journal is not None
        config = context.config
        storage = JournalStorage(journal, self.votes.state, self.members.conf_state, snapshot)
        core = CoreConfig(
            id=self.raft_id, storage=storage, random=context.random, election_tick=self._election_ticks,
            applied=applied, async_storage_writes=True, read_only_option=READS[config.reads.value],
            max_message_size=MESSAGE_BYTES, max_inflight_bytes=WINDOW_BYTES, disable_proposal_forwarding=True,
            logger=CoreLog(context.log),
        )  # fmt: skip
        self.driver = RaftDriver(
            RawNode(core), storage, self.votes, self, self.machine, applied=applied,
            reader_id=context.random.getrandbits(64), election_ticks=self._election_ticks,
            schedule=lambda call: context.call_later(0, call),
        )  # fmt: skip
        if core.read_only_option is ReadOnlyOption.LEASE_BASED:
            self.driver.catch_up = self._catch_up
        journal.on_failure = self._disk_failed
        self.transport.set_identity(self.identity)
        self._set_peers()
        self.machine.role_changed()

    # Members

    def apply_members(self, entry: Entry) -> None:
        driver = self.driver
        assert driver is not None
        conf_state = driver.node.apply_conf_change(entry)
        self.members = self.members.apply(decode_conf_change(entry).as_v2(), conf_state)
        self._set_peers()
        self._end_change(None)
        self.changed()

    def install_members(self, snapshot: Snapshot) -> None:
        """As the snapshot knows them."""
        self.members = Members.decode(snapshot.data)
        self._set_peers()

    def _members_aux(self) -> list[tuple[bytes, bytes]]:
        return [(b"kvorum-members", self.members.encode())]

    def add(self, member: Member, done: Done) -> None:
        self._propose_change(ConfChange(ConfChangeType.ADD_LEARNER_NODE, member.raft_id, member.encode()), done)

    def promote(self, raft_id: int, done: Done) -> None:
        """A learner that has caught up votes from now on."""
        self._propose_change(ConfChange(ConfChangeType.ADD_NODE, raft_id), done)

    def remove(self, raft_id: int, done: Done) -> None:
        refusal = removal_refusal(self.status(), raft_id) if self.driver is not None else None
        if refusal is not None:
            done(refusal)
            return
        if raft_id == self.raft_id:
            self.transfer(
                0, lambda error: done(error or "this member has handed over: ask the new leader to remove it")
            )
            return
        self._propose_change(ConfChange(ConfChangeType.REMOVE_NODE, raft_id), done)

    def _propose_change(self, change: ConfChange, done: Done) -> None:
        driver = self.driver
        if driver is None or not driver.serving:
            done("this member does not lead")
        elif self._change is not None:
            done("another change of the members is under way")
        elif driver.storage.journal.failed is not None:
            done("this member cannot write to its disk")  # nor could it read again, for a new member, what is not there
        else:
            self.context.effects.commit()
            driver.leave_sole()
            try:
                driver.node.propose_conf_change(change)
            except ProposalDroppedError:
                done("this member is handing over, or has too much to do")
                return
            self._change = (driver.ticks + CHANGE_TICKS, done)
            driver.drive()

    def _end_change(self, error: str | None) -> None:
        if self._change is not None:
            done, self._change = self._change[1], None
            done(error)

    def transfer(self, raft_id: int, done: Done) -> None:
        driver = self.driver
        if driver is None or not driver.serving:
            done("this member does not lead")
            return
        target = raft_id or driver.best_successor()
        if not target:
            done("there is no other voter")
            return
        self._end_transfer("another transfer has taken its place")
        self._transfer = done
        driver.transfer(target)

    def _end_transfer(self, error: str | None) -> None:
        if self._transfer is not None:
            done, self._transfer = self._transfer, None
            done(error)

    # Compaction: see saving.GroupLog

    def may_compact(self) -> bool:
        driver = self.driver
        return driver is not None and driver.may_compact()

    def base_aux(self) -> list[tuple[bytes, bytes]]:
        assert self.driver is not None
        self._base_members = self.members.encode()
        self.driver.resume_writing()
        alone = len(self.members) == 1  # nobody needs the files that the base replaces
        self.driver.storage.journal.keep_bytes = 0 if alone else self.context.config.raft_log_keep
        return [(b"kvorum-members", self._base_members)]

    def is_committed(self, index: int) -> bool:
        return self.driver is not None and self.driver.applied_index >= index

    def base_changed(self, index: int, term: int) -> None:
        assert self.driver is not None
        members = Members.decode(self._base_members)
        self.driver.storage.rebased(Snapshot(index, term, members.conf_state, self._base_members))

    # What the transport calls

    def send(self, message: Message) -> None:
        """To the transport."""
        self.transport.send(message)

    def flush(self) -> None:
        """Everything that was sent is to leave."""
        self.transport.flush()

    def receive(self, message: Message) -> None:
        """A member's message; ``drive`` follows when all that came with it are there."""
        driver = self.driver
        if driver is None:
            return
        if driver.asks_for_old_entries(message):
            driver.note_heard(message.from_)
            self._pacing.receive(message)
        else:
            driver.receive(message, soon=False)

    def _take_slowly(self, message: Message) -> None:
        """The answer of a follower that is far behind."""
        if self.driver is not None:
            self.driver.receive(message, soon=False)
            self.driver.drive()

    def drive(self) -> None:
        """All that came together has been handed over."""
        if self.driver is not None:
            self.driver.drive()

    def publish(self, commands: bytes) -> None:
        """Messages for the subscribers of the others: lost where a member cannot be reached, as Redis' are."""
        for member in self.members:
            if member.raft_id != self.raft_id:
                self.transport.send_frame(member.raft_id, Kind.PUBLISH, commands)
        self.transport.flush()

    def published(self, raft_id: int, commands: bytes) -> None:
        """Messages of a member that leads, or did a moment ago."""
        if self.driver is not None and not self.driver.serving:
            self.machine.published(commands)

    def unreachable(self, raft_id: int) -> None:
        """Something for this member was lost."""
        if self.driver is not None and not self.driver.sole:
            self.driver.node.report_unreachable(raft_id)
            self.driver.drive()

    def open_snapshot(self, message: Message) -> FileView | None:
        """The file that a SNAPSHOT message speaks of: the base, unless it has been replaced by a newer one."""
        journal = self._persistence.journal
        base = journal.manifest.base if journal is not None else None
        if journal is None or base is None or self.driver is None or message.snapshot is None:
            return None
        if self.driver.storage.snapshot().index != message.snapshot.index:
            return None
        return self._persistence.disk.view(posixpath.join(journal.directory, base.name))

    def snapshot_received(self, message: Message, path: str) -> None:
        """The state that a SNAPSHOT message speaks of is in this file, whole and safe on disk."""
        assert message.snapshot is not None
        self._received[message.snapshot.index, message.snapshot.term] = path
        self.receive(message)
        self.drive()

    def snapshot_sent(self, raft_id: int, failed: bool) -> None:
        """A member has received the snapshot, or will not."""
        if self.driver is not None:
            self.driver.node.report_snapshot(raft_id, failed)
            self.driver.drive()

    def take_received(self, snapshot: Snapshot) -> str:
        """Where the transport has put it."""
        return self._received.pop((snapshot.index, snapshot.term))

    def _disk_failed(self) -> None:
        """Nothing can be written here: somebody else is to lead."""
        self._persistence.write_failed()
        if self.driver is not None and self.driver.serving and not self.driver.sole:
            self.transfer(0, lambda error: None)

    def close(self) -> None:
        """No further tick; what is known is noted."""
        if self._timer is not None:
            self._timer.cancel()
        self.machine.close()
        if self.driver is not None:
            self.driver.save_commit()
        if self.transport is not None:
            self.transport.close()
        if self._votes is not None:
            self._votes.close()


ELECTION_BEGINS = "begins an election"  # as the core says it


class CoreLog:
    """The core's story in the server's log: only what an operator wants to know is told aloud."""

    def __init__(self, log: Any) -> None:
        self._log = log

    def debug(self, event: str, /, **fields: object) -> None:
        self._log.debug("raft: " + event, **fields)

    def info(self, event: str, /, **fields: object) -> None:
        if event == ELECTION_BEGINS:
            self._log.notice("election begins", term=fields.get("term"), campaign=fields.get("campaign"))
        else:
            self._log.verbose("raft: " + event, **fields)

    def warning(self, event: str, /, **fields: object) -> None:
        self._log.notice("raft: " + event, **fields)

    def error(self, event: str, /, **fields: object) -> None:
        self._log.warning("raft: " + event, **fields)
