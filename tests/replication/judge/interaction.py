"""Carries out the commands of the interaction scripts on nodes in memory, and prints what they do."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import ClassVar

from kvorum.replication.raft.core.conf_change import (
    AnyConfChange,
    ConfChange,
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeV2,
    decode_conf_change,
)
from kvorum.replication.raft.core.config import Config, ReadOnlyOption
from kvorum.replication.raft.core.entries import (
    EMPTY_HARD_STATE,
    NO_LIMIT,
    ConfState,
    Entry,
    EntryType,
    HardState,
    Snapshot,
)
from kvorum.replication.raft.core.errors import RaftError
from kvorum.replication.raft.core.messages import Message, MessageType, is_local_target
from kvorum.replication.raft.core.raw_node import RawNode
from kvorum.replication.raft.core.storage import MemoryStorage
from tests.replication.judge.datadriven import Directive
from tests.replication.judge.describe import (
    CHANGE_LETTERS,
    MESSAGE_TYPES,
    ROLES,
    describe_entries,
    describe_message,
    describe_progress,
    describe_ready,
)

LEVELS = ("DEBUG", "INFO", "WARN", "ERROR", "FATAL", "NONE")
TRANSITIONS = {
    "auto": ConfChangeTransition.AUTO,
    "implicit": ConfChangeTransition.JOINT_IMPLICIT,
    "explicit": ConfChangeTransition.JOINT_EXPLICIT,
}
TYPES = {name: kind for kind, name in MESSAGE_TYPES.items()}


class HistoryStorage(MemoryStorage):
    """Its snapshot is always one of what was applied last, whatever was compacted."""

    def __init__(self, history: list[Snapshot]) -> None:
        super().__init__()
        self.history = history

    def snapshot(self) -> Snapshot:
        return self.history[-1]


@dataclass
class Node:
    """A node whose state machine appends all data to one string; ``history`` holds it after every entry."""

    raw: RawNode
    storage: HistoryStorage
    config: Config
    append_work: list[Message] = field(default_factory=list)
    apply_work: list[Message] = field(default_factory=list)

    @property
    def id(self) -> int:
        return self.config.id

    def append(self, hard_state: HardState, entries: Sequence[Entry], snapshot: Snapshot | None) -> None:
        if hard_state != EMPTY_HARD_STATE:
            self.storage.set_hard_state(hard_state)
        if snapshot is not None:
            assert not entries, "a snapshot and entries at once"
            self.storage.apply_snapshot(snapshot)
        self.storage.append(entries)

    def apply(self, entries: Sequence[Entry]) -> None:
        history = self.storage.history
        for entry in entries:
            before = history[-1]
            update, conf_state = entry.data, before.conf_state
            if entry.type is not EntryType.NORMAL:
                change = decode_conf_change(entry)
                update, conf_state = change.context, self.raw.apply_conf_change(entry)
            history.append(Snapshot(entry.index, entry.term, conf_state, before.data + update))


class InteractionEnvironment:
    """``seed``: of the election timeouts. Scripts that depend on one set it, so any seed must do."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)
        self.nodes: list[Node] = []
        self.messages: list[Message] = []
        self._output: list[str] = []
        self._quiet = False

    def handle(self, directive: Directive) -> str:
        """Carry out a command and return what it prints. The core's own log lines are not part of it."""
        self._output = []
        error = None
        try:
            self._COMMANDS[directive.command](self, directive)
        except RaftError as raised:
            error = str(raised)
        if error is not None and self._quiet:
            return error
        output = "" if self._quiet else "".join(self._output)
        return output + (error or "") or "ok"

    def _print(self, text: str) -> None:
        self._output.append(text)

    @contextmanager
    def _indented(self, title: str | None) -> Iterator[None]:
        """Print the title and indent what follows; without a title leave all as it is."""
        if title is None:
            yield
            return
        self._print(title + "\n")
        outside, self._output = self._output, []
        try:
            yield
        finally:
            outside += [f"  {line}\n" for line in "".join(self._output).splitlines()]
            self._output = outside

    def _node(self, directive: Directive, place: int = 0) -> Node:
        return self.nodes[int(directive.positional[place]) - 1]

    def _nodes(self, directive: Directive) -> list[Node]:
        return [self.nodes[int(text) - 1] for text in directive.positional]

    # Nodes.

    def _add_nodes(self, directive: Directive) -> None:
        options = directive.options
        snapshot = Snapshot(
            index=int(directive.option("index", "0")),
            term=1 if options.keys() & {"index", "voters", "learners", "content"} else 0,
            conf_state=ConfState(
                voters=tuple(map(int, options.get("voters", ()))), learners=tuple(map(int, options.get("learners", ())))
            ),
            data=directive.option("content", "").encode(),
        )
        for _ in range(int(directive.positional[0])):
            storage = HistoryStorage([snapshot])
            if snapshot != Snapshot():
                assert snapshot.index > 1
                storage.apply_snapshot(snapshot)
            config = self._config(directive, storage, snapshot.index)
            self.nodes.append(Node(RawNode(config), storage, config))

    def _config(self, directive: Directive, storage: HistoryStorage, applied: int) -> Config:
        def flag(name: str) -> bool:
            return directive.option(name, "false") == "true"

        return Config(
            id=len(self.nodes) + 1,
            storage=storage,
            random=self._random,
            applied=applied,
            election_tick=3,
            heartbeat_tick=1,
            max_message_size=NO_LIMIT,
            max_inflight_bytes=NO_LIMIT,
            max_inflight_messages=int(directive.option("inflight", str(2**31 - 1))),
            max_committed_size_per_ready=int(directive.option("max-committed-size-per-ready", "0")),
            async_storage_writes=flag("async-storage-writes"),
            pre_vote=flag("prevote"),
            check_quorum=flag("checkquorum"),
            disable_conf_change_validation=flag("disable-conf-change-validation"),
            step_down_on_removal=flag("step-down-on-removal"),
            read_only_option=ReadOnlyOption(directive.option("read-only", "safe")),
        )

    # What a node is told.

    def _campaign(self, directive: Directive) -> None:
        self._node(directive).raw.campaign()

    def _forget_leader(self, directive: Directive) -> None:
        self._node(directive).raw.forget_leader()

    def _propose(self, directive: Directive) -> None:
        self._node(directive).raw.propose(directive.positional[1].encode())

    def _propose_conf_change(self, directive: Directive) -> None:
        self._node(directive).raw.propose_conf_change(self._change(directive))

    def _change(self, directive: Directive) -> AnyConfChange:
        changes = parse_changes(directive.input)
        if directive.option("v1", "false") == "true":
            (change,) = changes
            return ConfChange(change.type, change.node_id)
        return ConfChangeV2(changes, TRANSITIONS[directive.option("transition", "auto")])

    def _report_unreachable(self, directive: Directive) -> None:
        self._node(directive).raw.report_unreachable(self._node(directive, 1).id)

    def _set_randomized_election_timeout(self, directive: Directive) -> None:
        self._node(directive).raw.raft.randomized_election_timeout = int(directive.option("timeout", ""))

    def _tick_election(self, directive: Directive) -> None:
        node = self._node(directive)
        for _ in range(node.config.election_tick):
            node.raw.tick()

    def _tick_heartbeat(self, directive: Directive) -> None:
        node = self._node(directive)
        for _ in range(node.config.heartbeat_tick):
            node.raw.tick()

    def _transfer_leadership(self, directive: Directive) -> None:
        self.nodes[int(directive.option("from", "")) - 1].raw.transfer_leader(int(directive.option("to", "")))

    def _compact(self, directive: Directive) -> None:
        self._node(directive).storage.compact(int(directive.positional[1]))
        self._raft_log(directive)

    def _send_snapshot(self, directive: Directive) -> None:
        source, destination = self._nodes(directive)
        message = Message(
            MessageType.SNAPSHOT,
            term=source.raw.basic_status().hard_state.term,
            from_=source.id,
            to=destination.id,
            snapshot=source.storage.snapshot(),
        )
        self.messages.append(message)
        self._print(describe_message(message))

    # What a node does.

    def _each(self, directive: Directive, title: str, process: Callable[[Node], None]) -> None:
        nodes = self._nodes(directive)
        for node in nodes:
            with self._indented(f"> {node.id} {title}" if len(nodes) > 1 else None):
                process(node)

    def _process_ready(self, directive: Directive) -> None:
        self._each(directive, "handling Ready", self._handle_ready)

    def _handle_ready(self, node: Node) -> None:
        ready = node.raw.ready()
        self._print(describe_ready(ready))
        if not node.config.async_storage_writes:
            node.append(ready.hard_state or EMPTY_HARD_STATE, ready.entries, ready.snapshot)
            node.apply(ready.committed_entries)
        for message in ready.messages:
            if message.type is MessageType.STORAGE_APPEND:
                node.append_work.append(message)
            elif message.type is MessageType.STORAGE_APPLY:
                node.apply_work.append(message)
            else:
                self.messages.append(message)
        if not node.config.async_storage_writes:
            node.raw.advance()

    def _process_append_thread(self, directive: Directive) -> None:
        self._each(directive, "processing append thread", self._handle_append_work)

    def _handle_append_work(self, node: Node) -> None:
        if not node.append_work:
            self._print("no append work to perform")
            return
        work = node.append_work.pop(0)
        self._print_work(work)
        node.append(HardState(work.term, work.vote, work.commit), work.entries, work.snapshot)
        self._respond(work)

    def _process_apply_thread(self, directive: Directive) -> None:
        self._each(directive, "processing apply thread", self._handle_apply_work)

    def _handle_apply_work(self, node: Node) -> None:
        if not node.apply_work:
            self._print("no apply work to perform")
            return
        work = node.apply_work.pop(0)
        self._print_work(work)
        node.apply(work.entries)
        self._respond(work)

    def _print_work(self, work: Message) -> None:
        self._print(f"Processing:\n{describe_message(replace(work, responses=()))}\n")

    def _respond(self, work: Message) -> None:
        self._print("Responses:\n" + "".join(describe_message(response) + "\n" for response in work.responses))
        self.messages += work.responses

    def _deliver_messages(self, directive: Directive) -> None:
        kind = TYPES[directive.option("type", "")] if "type" in directive.options else None
        recipients = [(int(text), False) for text in directive.positional]
        recipients += [(int(text), True) for text in directive.options.get("drop", ())]
        if sum(self._deliver(node, kind, drop=drop) for node, drop in recipients) == 0:
            self._print("no messages\n")

    def _deliver(self, recipient: int, kind: MessageType | None = None, *, drop: bool = False) -> int:
        """Deliver or drop what is on its way to this node. Local messages cannot be dropped."""
        taken, self.messages = self._split(recipient, kind, drop)
        for message in taken:
            self._print(("dropped: " if drop else "") + describe_message(message) + "\n")
            if drop:
                continue
            try:
                self.nodes[recipient - 1].raw.step(message)
            except RaftError as error:
                self._print(f"{error}\n")
        return len(taken)

    def _split(self, recipient: int, kind: MessageType | None, drop: bool) -> tuple[list[Message], list[Message]]:
        taken: list[Message] = []
        rest: list[Message] = []
        for message in self.messages:
            is_local = message.from_ == message.to or is_local_target(message.from_) or is_local_target(message.to)
            wanted = message.to == recipient and kind in (None, message.type) and not (drop and is_local)
            (taken if wanted else rest).append(message)
        return taken, rest

    def _stabilize(self, directive: Directive) -> None:
        before = self._quiet
        if "log-level" in directive.options:
            self._set_level(directive.option("log-level", ""))
        nodes = self._nodes(directive) or self.nodes
        while self._stabilize_once(nodes):
            pass
        if self._quiet:
            self._output = []
        self._quiet = before

    def _stabilize_once(self, nodes: list[Node]) -> bool:
        """Whether there was anything to do."""
        busy = False
        for node in nodes:
            if node.raw.has_ready():
                busy = True
                with self._indented(f"> {node.id} handling Ready"):
                    self._handle_ready(node)
        for node in nodes:
            if self._split(node.id, None, drop=False)[0]:
                busy = True
                with self._indented(f"> {node.id} receiving messages"):
                    self._deliver(node.id)
        for node in nodes:
            busy |= self._work_off(
                node.append_work, f"> {node.id} processing append thread", self._handle_append_work, node
            )
        for node in nodes:
            busy |= self._work_off(
                node.apply_work, f"> {node.id} processing apply thread", self._handle_apply_work, node
            )
        return busy

    def _work_off(self, work: list[Message], title: str, handle: Callable[[Node], None], node: Node) -> bool:
        if not work:
            return False
        with self._indented(title):
            while work:
                handle(node)
        return True

    # What is looked at.

    def _log_level(self, directive: Directive) -> None:
        self._set_level(directive.positional[0])

    def _set_level(self, name: str) -> None:
        assert name.upper() in LEVELS
        self._quiet = name.upper() == "NONE"

    def _raft_log(self, directive: Directive) -> None:
        storage = self._node(directive).storage
        first, last = storage.first_index(), storage.last_index()
        if last < first:
            self._print(f"log is empty: first index={first}, last index={last}")
        else:
            self._print("".join(f"{line}\n" for line in describe_entries(storage.entries(first, last + 1, NO_LIMIT))))

    def _raft_state(self, directive: Directive) -> None:
        for node in self.nodes:
            status = node.raw.status()
            conf_state, soft_state = status.conf_state, status.basic.soft_state
            is_voter = node.id in conf_state.voters + conf_state.voters_outgoing
            self._print(
                f"{node.id}: {ROLES[soft_state.role]} {'(Voter)' if is_voter else '(Non-Voter)'}"
                f" Term:{status.basic.hard_state.term} Lead:{soft_state.lead}\n"
            )

    def _status(self, directive: Directive) -> None:
        self._print(describe_progress(self._node(directive).raw.status().progress))

    _COMMANDS: ClassVar[dict[str, Callable[[InteractionEnvironment, Directive], None]]] = {
        "add-nodes": _add_nodes,
        "campaign": _campaign,
        "compact": _compact,
        "deliver-msgs": _deliver_messages,
        "forget-leader": _forget_leader,
        "log-level": _log_level,
        "process-append-thread": _process_append_thread,
        "process-apply-thread": _process_apply_thread,
        "process-ready": _process_ready,
        "propose": _propose,
        "propose-conf-change": _propose_conf_change,
        "raft-log": _raft_log,
        "raft-state": _raft_state,
        "report-unreachable": _report_unreachable,
        "send-snapshot": _send_snapshot,
        "set-randomized-election-timeout": _set_randomized_election_timeout,
        "stabilize": _stabilize,
        "status": _status,
        "tick-election": _tick_election,
        "tick-heartbeat": _tick_heartbeat,
        "transfer-leadership": _transfer_leadership,
    }


def parse_changes(text: str) -> tuple[ConfChangeSingle, ...]:
    """Such as ``v1 l2 r3``."""
    return tuple(ConfChangeSingle(CHANGE_LETTERS[word[0]], int(word[1:])) for word in text.split())
