"""The composition root: one server with all its parts, in an asyncio loop.

``AsyncServer`` lives in the running loop; ``Server`` (see ``embedded``) runs one in a thread of its own. Everything that a
part needs is handed to it here: configuration, clock, randomness, log. Two servers share nothing.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from kvorum.acl.users import Users
from kvorum.clock import Clock, SystemClock
from kvorum.commands import all_groups
from kvorum.commands.registry import Registry
from kvorum.config import Config, ValueRefusedError
from kvorum.errors import StartupError
from kvorum.journal.effects import Effects
from kvorum.keyspace import events
from kvorum.keyspace.table import EXPIRED, Keyspace
from kvorum.net.listeners import TcpListeners, open_tcp, open_unix
from kvorum.net.migration import MigrationConnections
from kvorum.net.peer_listener import PeerListener
from kvorum.net.reactor import Reactor
from kvorum.net.upstream import UpstreamConnections
from kvorum.observe.counters import watch_counters
from kvorum.observe.latency import LatencyMonitor
from kvorum.observe.logging import Logger, open_logger
from kvorum.observe.monitor import feed_monitors, stop_monitoring
from kvorum.observe.slowlog import SlowLog
from kvorum.observe.statistics import Statistics
from kvorum.pubsub.mailbox import Mailbox
from kvorum.pubsub.notifications import Notifications
from kvorum.pubsub.tracking import Tracking
from kvorum.replication.raft.members import parse_address
from kvorum.replication.raft.settings import GroupSettings, Way
from kvorum.replication.raft.transport import Transport
from kvorum.server.cron import Cron
from kvorum.server.descriptors import allow_clients
from kvorum.server.group import Group
from kvorum.server.group_forming import GroupForming
from kvorum.server.persistence import Persistence
from kvorum.server.replica_gate import renew_replica_gate
from kvorum.session.blocking import BlockedClients
from kvorum.session.context import ServerContext
from kvorum.session.exactly_once import ExactlyOnce
from kvorum.session.memory import MemoryLimit
from kvorum.session.outbox import Outbox
from kvorum.session.pipeline import NEVER_SLOW, Pipeline
from kvorum.session.session import Session
from kvorum.session.transactions import Watches

RUN_ID_BYTES = 20
MULTIPLEXING = "epoll" if hasattr(Reactor, "serve") else "asyncio"  # the plain reactor leaves waiting to the loop
LOOPBACK = ("127.0.0.1",)
LEAST_CLIENT_LIMIT_BYTES = 128 * 1024  # with less nobody could so much as set it to more


class AsyncServer:
    """A server in the running asyncio loop.

    >>> async with AsyncServer(port=0) as server:
    ...     print(server.port)

    Options are those of redis.conf, with underscores, or a whole ``Config``. Programs that embed a server get loopback and
    a free port unless they ask for something else. Closing twice is harmless.
    """

    def __init__(
        self,
        config: Config | None = None,
        *,
        clock: Clock | None = None,
        randomness: random.Random | None = None,
        log: Logger | None = None,
        **options: object,
    ) -> None:
        embedded = config is None
        if config is None:
            files = {} if "dir" in options else {"appendonly": False}
            config = Config.of(**{"port": 0, "bind": list(LOOPBACK), **files, **options})  # type: ignore[arg-type]
        elif options:
            raise TypeError("give a Config or options, not both")
        self.config = config
        # A program that embeds a server and names no directory does not mean the files that lie in its own.
        has_files = not embedded or "dir" in options
        self._clock = clock or SystemClock()
        self._random = randomness or random.Random()
        self._log = log if log is not None else open_logger(config, self._clock)
        self._owns_log = log is None
        self._closed = False
        self._handing_over = False
        self.exit_status = 0
        self._stopping: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._unix_path: Path | None = None
        self._unix_inode = 0
        self._migration = MigrationConnections(self._random)
        self._upstreams: UpstreamConnections | None = None
        self.context = self._compose()
        self.reactor = Reactor(self.context)
        self._listeners = TcpListeners(self.reactor)
        watch_counters(self.context, self.reactor)
        self.persistence = Persistence(self.context, self.reactor, has_files)
        self.group = self._make_group()
        self.forming: GroupForming | None = None
        self._peer_listener: PeerListener | None = None
        self._cron = Cron(self.context, self.reactor, self.persistence)
        self._follow_configuration()

    def _make_group(self) -> Group | None:
        """This node as a member of a Raft group, if it is to be one."""
        if GroupSettings.of(self.config).way is Way.NONE:
            return None
        group = Group(self.context, self.reactor, self.persistence)
        self.context.group = self.persistence.group = self.persistence.saving.group = group
        group.on_change(self.context.pipeline.role.leader_changed)
        return group

    def _join_group(self, group: Group) -> None:
        """Give it the network."""
        self.forming = GroupForming(self.context, group, port=lambda: self.port)
        group.describe = self.forming.own_member
        group.door, group.invite = self.forming.door, self.forming.invite
        group.make_transport = self._make_transport
        self.config.on_change("acks", lambda config: group.acks_changed())

    def _make_transport(self, group: Group) -> Transport:
        transport = Transport(
            group.identity, self.config.cluster_secret, clock=self._clock, randomness=self._random, log=self._log,
            on_message=group.receive, on_batch=group.drive, on_unreachable=group.unreachable,
        )  # fmt: skip
        transport.open_channel(
            self.persistence.disk,
            group.log_directory,
            group.open_snapshot,
            group.snapshot_received,
            group.snapshot_sent,
        )
        transport.on_publish = group.published
        self.context.peer_door = transport
        self._listen_for_members(transport)
        return transport

    def _listen_for_members(self, transport: Transport) -> None:
        """``raft-bind``: a port to which members come and nobody else."""
        if self.config.raft_bind:
            host, port = parse_address(self.config.raft_bind)
            self._peer_listener = PeerListener(transport, open_tcp([host], port, self.config.tcp_backlog), self.group)
            self._peer_listener.start()

    def _compose(self) -> ServerContext:
        """Make the parts and hand them to each other."""
        config, clock = self.config, self._clock
        keyspace = Keyspace(config.databases, seed=self._random.getrandbits(64), hash_seed=self._random.getrandbits(64))
        keyspace.growth_clock = time.thread_time_ns
        effects = Effects()
        context = ServerContext(
            config=config,
            clock=clock,
            random=self._random,
            log=self._log,
            keyspace=keyspace,
            registry=Registry(all_groups()),
            effects=effects,
            users=Users(),
            statistics=Statistics(),
            slowlog=SlowLog(),
            latency=LatencyMonitor(),
            run_id=secrets.token_hex(RUN_ID_BYTES),
            request_shutdown=self.request_shutdown,
            started_ms=clock.wall_ms(),
        )
        keyspace.on_removed = self._key_removed
        keyspace.on_modified = self._key_modified
        context.outbox = Outbox(effects)
        context.pipeline = Pipeline(context)
        context.memory = MemoryLimit(context)
        context.once = ExactlyOnce(context)
        context.watches = Watches(keyspace)
        context.notifications = Notifications(context.pubsub)
        keyspace.on_event = context.notifications.notify
        context.tracking = Tracking(self._find_mailbox, keyspace.commons.random_below)
        context.blocking = BlockedClients(context)
        context.migration = self._migration
        context.make_room = context.memory.make_room
        context.feed_monitors = lambda session: feed_monitors(context, session)
        context.client_left = self._client_left
        return context

    def _key_removed(self, database: int, key: bytes, reason: str) -> None:
        """A key expired or was evicted: the log gets its deletion, and who wants to know is told."""
        config, context = self.config, self.context
        expired = reason == EXPIRED
        lazily = config.lazyfree_lazy_expire if expired else config.lazyfree_lazy_eviction
        context.effects.removed(database, b"UNLINK" if lazily else b"DEL", key)
        if context.keyspace.observed & events.MODIFICATIONS:
            self._key_modified(database, key, None)
        if context.keyspace.observed & events.EVENTS:
            kind = events.EXPIRED if expired else events.EVICTED
            context.notifications.notify(kind, reason.encode(), key, database)

    def _key_modified(self, database: int, key: bytes, session: Session | None) -> None:
        """A key is not what it was; ``session`` did it, or, None, time or want of memory."""
        self.context.watches.touch(database, key)
        self.context.tracking.key_modified(key, 0 if session is None else session.id)

    def _find_mailbox(self, id: int) -> Mailbox | None:
        """Where messages for a client go, if it is still there."""
        session = self.context.clients.get(id)
        return None if session is None else session.open_mailbox()

    def _client_left(self, session: Session) -> None:
        """Undo what ties a session to the server; it may be in the middle of a command of its own."""
        context = self.context
        session.closing = True  # a request of it that is on its way is not to be executed any more
        context.clients.pop(session.id, None)
        context.blocking.forget(session)
        context.pipeline.forget(session)
        context.watches.forget(session)
        session.stop_listening()
        stop_monitoring(context, session)

    def _follow_configuration(self) -> None:
        """Give every part its options, now and whenever they change."""
        for names, apply in (
            (("requirepass",), self._apply_password),
            (("follower-writes", "reads", "raft-election-ms", "cluster-secret"), self._apply_role),
            (("min-replicas-to-write", "min-replicas-max-lag"), self._apply_replicas),
            (("slowlog-log-slower-than", "slowlog-max-len", "latency-monitor-threshold", "latency-tracking"),
             self._apply_observation),
            (("maxmemory", "maxmemory-policy", "maxmemory-samples", "lfu-log-factor", "lfu-decay-time"),
             self._apply_memory),
            (("timeout", "tcp-keepalive", "client-query-buffer-limit", "client-output-buffer-limit",
              "proto-max-bulk-len", "protected-mode", "maxclients"), self._apply_network),
            (("maxmemory", "maxmemory-clients"), self._apply_client_limit),
            (("appendfsync", "aof-segment-size", "aof-timestamp-enabled"), self.persistence.apply_policy),
            (("notify-keyspace-events", "tracking-table-max-keys"), self._apply_messages),
            (("hash-max-listpack-entries", "hash-max-listpack-value", "list-max-listpack-size", "list-compress-depth",
              "set-max-intset-entries", "set-max-listpack-entries", "set-max-listpack-value",
              "zset-max-listpack-entries", "zset-max-listpack-value"), self._apply_encodings),
        ):  # fmt: skip
            apply(self.config)
            for name in names:
                self.config.on_change(name, apply)

    def _apply_password(self, config: Config) -> None:
        self.context.users.require_password(config.requirepass)
        self._apply_network(config)

    def _apply_role(self, config: Config) -> None:
        role = self.context.pipeline.role
        role.configure(config.follower_writes.value, config.reads.value, config.raft_election_ms)
        role.secret = config.cluster_secret

    def _apply_replicas(self, config: Config) -> None:
        renew_replica_gate(self.context)

    def _apply_observation(self, config: Config) -> None:
        context = self.context
        context.slowlog.slower_than_us = config.slowlog_log_slower_than
        context.slowlog.set_max_length(config.slowlog_max_len)
        context.latency.threshold_ms = config.latency_monitor_threshold
        limits = [limit for limit in (context.slowlog.limit_ns, context.latency.limit_ns) if limit is not None]
        context.pipeline.slow_ns = min(limits, default=NEVER_SLOW)
        context.pipeline.track_latency = config.latency_tracking

    def _apply_memory(self, config: Config) -> None:
        self.context.memory.configure(config)

    def _apply_network(self, config: Config) -> None:
        reactor = self.reactor
        reactor.idle_seconds = config.timeout
        reactor.keepalive_seconds = config.tcp_keepalive
        reactor.query_buffer_limit = config.client_query_buffer_limit
        limits = config.client_output_buffer_limit
        reactor.set_output_limits(limits.normal, limits.pubsub)
        reactor.set_max_bulk_bytes(config.proto_max_bulk_len)
        self.context.keyspace.max_string_bytes = config.proto_max_bulk_len
        reactor.protected = config.protected_mode and self.context.users.default.no_password
        reactor.max_clients = allow_clients(config.maxclients)
        if reactor.max_clients < config.maxclients:
            self._log.warning("maxclients lowered: the process may not open more files", maxclients=reactor.max_clients)

    def _apply_encodings(self, config: Config) -> None:
        commons = self.context.keyspace.commons
        commons.hash_max_entries = config.hash_max_listpack_entries
        commons.hash_max_value = config.hash_max_listpack_value
        commons.list_max_size = config.list_max_listpack_size
        commons.list_compress_depth = config.list_compress_depth
        commons.set_max_intset_entries = config.set_max_intset_entries
        commons.set_max_listpack_entries = config.set_max_listpack_entries
        commons.set_max_listpack_value = config.set_max_listpack_value
        commons.zset_max_entries = config.zset_max_listpack_entries
        commons.zset_max_value = config.zset_max_listpack_value

    def _apply_messages(self, config: Config) -> None:
        context = self.context
        notifications, keyspace = context.notifications, context.keyspace
        notifications.configure(int(config.notify_keyspace_events))
        context.tracking.max_keys = config.tracking_table_max_keys
        context.tracking.keep_limit()
        for bit, wanted in (
            (events.EVENTS, bool(notifications.classes)),
            (events.EVENTS_OF_MISSES, notifications.wants(events.KEY_MISS)),
            (events.EVENTS_OF_NEW_KEYS, notifications.wants(events.NEW_KEY)),
        ):
            keyspace.observed = keyspace.observed | bit if wanted else keyspace.observed & ~bit

    def _apply_client_limit(self, config: Config) -> None:
        limit_bytes = config.maxmemory_clients
        if limit_bytes < 0:
            limit_bytes = config.maxmemory * -limit_bytes // 100
        limit_bytes = max(limit_bytes, LEAST_CLIENT_LIMIT_BYTES) if limit_bytes else 0
        self.reactor.set_client_limit(limit_bytes, config.maxmemory > 0)

    def _move_port(self, config: Config) -> None:
        self._move(config, "Unable to listen on this port. Check server logs.")

    def _move_addresses(self, config: Config) -> None:
        self._move(config, "Failed to bind to specified addresses.")

    def _move(self, config: Config, refusal: str) -> None:
        """CONFIG SET port, bind: clients connect elsewhere from now on. If both change, the first call does it all."""
        before = self._listeners.sockets
        try:
            self._listeners.listen(config.bind, config.port, config.tcp_backlog)
        except StartupError as error:
            self._log.warning("listening where it was", reason=str(error))
            raise ValueRefusedError(refusal) from error
        if self._listeners.sockets is not before:
            self._log.notice("listening", addresses=" ".join(config.bind), port=self.port)

    @property
    def host(self) -> str:
        """The first address that clients can connect to; empty before the start, and if there is none."""
        return self._listeners.host

    @property
    def port(self) -> int:
        """The TCP port, also if it was chosen by the system; 0 while there is none."""
        return self._listeners.port

    async def start(self) -> Self:
        """Listen and serve.

        :raises StartupError: an address cannot be listened on.
        """
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        try:
            self._serve(self._loop)
            if self.group is not None:
                self._join_group(self.group)
            await self.persistence.load()
            if self.group is not None:
                self.group.start()
                assert self.forming is not None
                self.forming.start()
        except BaseException:
            if self._peer_listener is not None:
                self._peer_listener.close()
            self._cron.stop()
            self.persistence.close()
            self.reactor.close()
            if self._owns_log:
                self._log.close()
            raise
        if not self._stopping.is_set():
            self._log.notice("Ready to accept connections", port=self.port)
        return self

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        self.context.call_later = loop.call_later
        self._upstreams = UpstreamConnections(loop)
        self.context.pipeline.role.connect = self._upstreams.connect
        self._listen()
        config = self.config
        config.on_change("bind", self._move_addresses)
        config.on_change("port", self._move_port)
        config.on_change("appendonly", self.persistence.switch)
        self.context.info_providers["server"] = lambda: {"tcp_port": self.port, "multiplexing_api": MULTIPLEXING}
        self.context.info_providers["persistence"] = self.persistence.fields
        self.context.info_providers["clients"] = lambda: {"maxclients": self.reactor.max_clients}
        self.reactor.attach(loop)
        self._cron.start(loop)

    def _listen(self) -> None:
        config = self.config
        self._listeners.listen(config.bind, config.port, config.tcp_backlog)
        if config.unixsocket:
            self.reactor.listen(open_unix(config.unixsocket, config.unixsocketperm, config.tcp_backlog), True)
            self._unix_path = Path(config.unixsocket)
            self._unix_inode = self._unix_path.stat().st_ino

    def request_shutdown(self, status: int = 0) -> None:
        """Ask the server to stop; who runs it waits for ``stopped``. ``status``: of the process, if it is one."""
        self.exit_status = max(self.exit_status, status)
        if status == 0 and self._hands_over():
            return
        self.persistence.ending = True
        if self._stopping is not None:
            self._stopping.set()

    def _hands_over(self) -> bool:
        """Whether the end waits until another member leads, which takes no longer than an election timeout: so a planned end
        costs clients less than an election."""
        group = self.group
        if self._handing_over or group is None or not group.serving or group.sole:
            return False
        self._handing_over = True
        group.transfer(0, lambda error: self.request_shutdown())
        return True

    async def stopped(self) -> None:
        """Wait until somebody asks the server to stop."""
        assert self._stopping is not None, "start the server first"
        await self._stopping.wait()

    async def close(self) -> None:
        """Stop serving, close all connections, free the dataset. A second time changes nothing."""
        if self._closed:
            return
        self._closed = True
        self._cron.stop()
        self.context.blocking.close()
        if self._peer_listener is not None:
            self._peer_listener.close()
        if self.group is not None:
            self.context.effects.commit()
            if self.forming is not None:
                self.forming.close()
            self.group.close()
        if self._loop is not None:
            self.reactor.detach(self._loop)
        self.reactor.close()
        self._migration.close_all()
        if self._upstreams is not None:
            self._upstreams.close()
        self.context.effects.commit()
        self.persistence.close()
        if self._unix_path is not None:
            self._remove_socket(self._unix_path)
        if self._stopping is not None:
            self._stopping.set()
        self._log.notice("Bye")
        if self._owns_log:
            self._log.close()

    def _remove_socket(self, path: Path) -> None:
        """Remove our Unix socket, unless another server has put its own in that place."""
        try:
            if path.stat().st_ino == self._unix_inode:
                path.unlink()
        except FileNotFoundError:
            pass

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
