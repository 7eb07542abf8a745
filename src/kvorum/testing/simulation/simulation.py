"""A group with clients, and everything that goes wrong in it, from one seed.

A run has two parts. First troubles come and go at random (``TROUBLES``) while clients ask. Then all is mended, and the group has
to show within ``SETTLE_NS`` that it is well: somebody serves, every member has everything, and a write is answered. In the end
the histories of all keys are judged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from kvorum.replication.raft.forming import learner_to_promote
from kvorum.testing.linearizability import History, Words, check
from kvorum.testing.simulation.clients import READER_PATIENCE_NS, SimulatedClient
from kvorum.testing.simulation.clock import NodeClock
from kvorum.testing.simulation.disk import threadless
from kvorum.testing.simulation.invariants import Invariants, ViolationError, fingerprint_of
from kvorum.testing.simulation.network import Network, Weather
from kvorum.testing.simulation.node import Directory, SimulatedNode
from kvorum.testing.simulation.scheduler import MILLISECOND_NS, SECOND_NS, Scheduler

FORM_NS = 20 * SECOND_NS
SETTLE_NS = 30 * SECOND_NS
CARE_NS = 100 * MILLISECOND_NS
MOST_EVENTS = 2_000_000
CLOCK_ERROR = 0.02  # so much faster or slower a clock may run
STORM = Weather(lose=0.05, repeat=0.05, late=0.2, late_ns=3 * SECOND_NS)
CALM, ROUGH = Weather(), Weather(lose=0.05, repeat=0.05, late=0.03, slowest_ns=40 * MILLISECOND_NS)
KINDS = (b"register", b"counter", b"list")


@dataclass(frozen=True, slots=True)
class Plan:
    """``trouble_ns``: how long troubles come; ``rest_ns``: how long a client rests, at most twice that."""

    nodes: int = 3
    clients: int = 4
    keys: int = 2  # of each kind
    trouble_ns: int = 12 * SECOND_NS
    rest_ns: int = 40 * MILLISECOND_NS
    between_ns: int = 350 * MILLISECOND_NS
    segment_bytes: int = 1 << 30
    weather: Weather = CALM
    options: dict[str, object] = field(default_factory=dict)


def plan_of(seed: int) -> Plan:
    """Every third seed has leases; every fifth a group of five; every seventh a log in small pieces, every fourth
    bad weather and troubles all the time."""
    stormy = seed % 4 == 0
    return Plan(
        nodes=5 if seed % 5 == 0 else 3,
        weather=STORM if stormy else CALM,
        between_ns=(250 if stormy else 350) * MILLISECOND_NS,
        segment_bytes=2000 if seed % 7 == 0 else 1 << 30,
        options={"reads": "lease"} if seed % 3 == 0 else {},
    )


@dataclass(slots=True)
class Outcome:
    """What a run that went well has seen."""

    seed: int
    digest: int
    events: int
    operations: int
    acknowledged: int
    unknown: int
    terms: int
    entries: int
    reads: int
    compared: int
    troubles: dict[str, int]

    def __str__(self) -> str:
        troubles = " ".join(f"{name}={count}" for name, count in sorted(self.troubles.items()))
        return (
            f"seed {self.seed}: {self.events} events, {self.operations} operations, {self.acknowledged} acknowledged,"
            f" {self.unknown} unknown, {self.terms} terms, {self.entries} entries, {self.reads} rounds of reads,"
            f" {self.compared} comparisons of data, {troubles}, digest {self.digest:08x}"
        )


class Simulation:
    """One run."""

    def __init__(self, seed: int, plan: Plan | None = None) -> None:
        self.seed = seed
        self.plan = plan or plan_of(seed)
        self.scheduler = Scheduler(seed)
        self.random = self.scheduler.random
        self.network = Network(self.scheduler)
        self.directory = Directory()
        self.invariants = Invariants()
        self.history = History()
        self.nodes = [self._node(number) for number in range(1, self.plan.nodes + 1)]
        self.clients = [self._client(number) for number in range(self.plan.clients)]
        self.troubles: dict[str, int] = {}
        self.trouble_is_over = False
        self._values = 0
        self._leaving: SimulatedNode | None = None

    def _node(self, number: int) -> SimulatedNode:
        rate = 1 + self.random.uniform(-CLOCK_ERROR, CLOCK_ERROR)
        clock = NodeClock(self.scheduler, rate, self.random.randrange(-2000, 2000))
        how: dict[str, object] = {"raft_bootstrap": True} if number == 1 else {"raft_join": ["node1:1"]}
        options = {**self.plan.options, **how, "raft_announce": f"node{number}:1"}
        node = SimulatedNode(f"node{number}", self.scheduler, self.network, self.directory, clock, **options)
        node.segment_bytes = self.plan.segment_bytes
        node.on_step = self.invariants.check
        node.on_send = self.invariants.sent
        node.on_failure = self._node_fails
        node.on_ready = self._node_is_ready
        return node

    def _client(self, number: int) -> SimulatedClient:
        client = SimulatedClient(
            number, self.scheduler, self.history, self._choose_node, lambda: self._invent(number), self.plan.rest_ns
        )
        if number % 2:
            client.patience_ns = READER_PATIENCE_NS
        return client

    # The run

    def run(self) -> Outcome:
        """Raises ViolationError, or whatever went wrong inside."""
        with threadless():
            try:
                self._form()
                self._trouble()
                self._settle()
            finally:
                for node in self.nodes:
                    node.end()
        self._judge()
        return self._outcome()

    def _form(self) -> None:
        for node in self.nodes:
            node.start()
        self._care()
        self._until(self._is_complete, FORM_NS, "a group is formed")
        for client in self.clients:
            client.start()

    def _is_complete(self) -> bool:
        leader = self._leader()
        return leader is not None and len(leader.group.members.conf_state.voters) == len(self.nodes)

    def _trouble(self) -> None:
        self.network.weather = self.plan.weather
        self._plan_trouble()
        until_ns = self.scheduler.now_ns + self.plan.trouble_ns
        while self.scheduler.now_ns < until_ns:
            self._step()
        self.trouble_is_over = True

    def _settle(self) -> None:
        self.network.weather = CALM
        self.network.heal()
        for client in self.clients:
            client.stop()
        for node in self.nodes:
            node.resume()
            if node.server is None:
                node.start()
        self._until(self._is_well, SETTLE_NS, "the group is well again")
        for node in self.nodes:
            self.invariants.check_data(node)
        prints = {fingerprint_of(node) for node in self.nodes}
        if len(prints) != 1:
            raise ViolationError("members that have the same log have different data")
        self._ask_in_the_end()

    def _is_well(self) -> bool:
        leader = self._leader()
        if leader is None or not self._is_complete():
            return False
        drivers = [node.driver for node in self.nodes]
        own = leader.driver
        assert own is not None
        last = own.storage.last_index()
        return own.executed == own.applied and all(
            driver is not None and driver.applied == last and not driver.building and driver.lead == own.lead
            for driver in drivers
        )

    def _ask_in_the_end(self) -> None:
        """Every key is read once more: an acknowledged write that is gone shows."""
        leader = self._leader()
        assert leader is not None
        reads = [self._read_of(kind, number) for kind in KINDS for number in range(self.plan.keys)]
        count = len(reads)
        reader = SimulatedClient(
            len(self.clients), self.scheduler, self.history, lambda: self._leader() or leader,
            lambda: reads[reader.acknowledged % count], MILLISECOND_NS,
        )  # fmt: skip
        reader.start()
        self.clients.append(reader)
        reader.ends_after = count
        self._until(lambda: reader.acknowledged >= count, SETTLE_NS, "every key can be read")

    def _judge(self) -> None:
        violations = check(self.history.close())
        if violations:
            raise ViolationError("\n".join(map(str, violations)))

    def _until(self, reached: Callable[[], bool], within_ns: int, what: str) -> None:
        until_ns = self.scheduler.now_ns + within_ns
        while not reached():
            if self.scheduler.now_ns > until_ns:
                raise ViolationError(f"it does not come to it that {what}: {self._situation()}")
            self._step()

    def _step(self) -> None:
        if self.scheduler.events > MOST_EVENTS:
            raise ViolationError("events without end")
        if not self.scheduler.step():
            raise ViolationError("nothing happens any more")

    def _situation(self) -> str:
        lines = []
        for node in self.nodes:
            driver = node.driver
            if driver is None:
                lines.append(f"{node.name}: {'down' if node.server is None else 'starting'}")
                continue
            raft = driver.node.raft
            lines.append(
                f"{node.name}: {raft.role.name} of term {raft.term}, lead {raft.lead}, last {raft.log.last_index()}, "
                f"committed {raft.log.committed}, applied {driver.applied}, executed {driver.executed}, "
                f"building {driver.building}, serving {driver.serving}, {raft.tracker.conf_state}"
            )
        return "; ".join(lines)

    def _outcome(self) -> Outcome:
        operations = self.history.operations
        return Outcome(
            self.seed, self.scheduler.digest, self.scheduler.events, len(operations),
            sum(client.acknowledged for client in self.clients), sum(one.ended is None for one in operations),
            len(self.invariants.leaders), len(self.invariants.committed), self.invariants.reads_confirmed,
            self.invariants.fingerprints_compared, self.troubles,
        )  # fmt: skip

    # Members

    def _leader(self) -> SimulatedNode | None:
        """Who serves in the highest term."""
        serving = [node for node in self.nodes if node.runs and node.serving]
        return max(serving, key=lambda node: node.group.term, default=None)

    def _node_is_ready(self, node: SimulatedNode) -> None:
        self.scheduler.note("ready", node.name, node.group.applied_index)

    def _care(self) -> None:
        """Now and then, as forming does it: who is not in the group is let in, and who has caught up votes."""
        leader = self._leader()
        if leader is not None:
            members = leader.group.members
            for node in self.nodes:
                if node.runs and node.ready and node.group.raft_id not in members and node is not self._leaving:
                    self._let_in(leader, node)
                    break
            raft_id = learner_to_promote(leader.group.status()) if members.learners else 0
            if raft_id:
                leader.group.promote(raft_id, _nobody_waits)
        self.scheduler.after(CARE_NS, self._care)

    def _let_in(self, leader: SimulatedNode, node: SimulatedNode) -> None:
        if node.driver is None:
            node.group.join(leader.group.group_id)
        leader.group.add(node.member(), _nobody_waits)

    def _node_fails(self, node: SimulatedNode) -> None:
        raise ViolationError(f"{node.name} gives up: {node.reason}")

    # Clients

    def _choose_node(self) -> SimulatedNode:
        """Mostly who leads, as far as a client can know."""
        leader = self._leader()
        if leader is not None and self.random.random() < 0.7:
            return leader
        return self.random.choice(self.nodes)

    def _invent(self, client: int) -> Words:
        """Every other client only reads, and is impatient and faithful: it goes on where writes have to wait."""
        kind = self.random.choice(KINDS)
        number = self.random.randrange(self.plan.keys)
        key = b"%b%d" % (kind, number)
        self._values += 1
        value = b"%d" % self._values
        chosen = self.random.random()
        if chosen < 0.3 or client % 2:
            return self._read_of(kind, number)
        if kind == b"counter":
            if chosen < 0.4:
                return (b"EXEC", key, (b"INCR", key), (b"GET", key), (b"INCRBY", key, b"10"))
            return (b"INCR", key)
        if kind == b"register":
            return self.random.choice(
                ((b"SET", key, value), (b"SET", key, value), (b"GETSET", key, value), (b"DEL", key))
            )
        if chosen < 0.34:
            return (b"DEL", key)
        return self.random.choice(((b"RPUSH", key, value), (b"RPUSH", key, value), (b"LPOP", key)))

    def _read_of(self, kind: bytes, number: int) -> Words:
        key = b"%b%d" % (kind, number)
        return (b"LRANGE", key, b"0", b"-1") if kind == b"list" else (b"GET", key)

    # Troubles

    def _plan_trouble(self) -> None:
        self.scheduler.after(self.random.randrange(1, 2 * self.plan.between_ns), self._make_trouble)

    def _make_trouble(self) -> None:
        if self.trouble_is_over:
            return
        name, weight = zip(*TROUBLES.items(), strict=True)
        (chosen,) = self.random.choices(name, [one[1] for one in weight])
        node = self._leader() if self.random.random() < 0.4 else None
        node = node or self.random.choice(self.nodes)
        self.troubles[chosen] = self.troubles.get(chosen, 0) + 1
        self.scheduler.note("trouble", chosen, node.name)
        TROUBLES[chosen][0](self, node)
        self._plan_trouble()

    def _later(self, most_ns: int, action: Callable[[], object]) -> None:
        """Once; mended at the end of the trouble at the latest."""
        self.scheduler.after(self.random.randrange(MILLISECOND_NS, most_ns), action)

    def crash(self, node: SimulatedNode) -> None:
        node.crash(power=self.random.random() < 0.7)
        self._later(2 * SECOND_NS, lambda: self._restart(node))

    def _restart(self, node: SimulatedNode) -> None:
        if node.server is None:
            node.start()

    def crash_all(self, node: SimulatedNode) -> None:
        """The power of all fails at once."""
        for one in self.nodes:
            one.crash(power=True)
            self._later(SECOND_NS, lambda one=one: self._restart(one))  # type: ignore[misc]

    def pause(self, node: SimulatedNode) -> None:
        node.pause()
        self._later(2 * SECOND_NS, node.resume)

    def isolate(self, node: SimulatedNode) -> None:
        """One way or both, from one other or from all, perhaps from clients, too."""
        others = [one.name for one in self.nodes if one is not node]
        if self.random.random() < 0.4:
            others = [self.random.choice(others)]
        if self.random.random() < 0.3:
            others += [client.name for client in self.clients]
        way = self.random.choice(("in", "out", "both", "both"))
        for other in others:
            if way != "out":
                self.network.cut(other, node.name)
            if way != "in":
                self.network.cut(node.name, other)
        self._later(3 * SECOND_NS, self.network.heal)

    def rough_weather(self, node: SimulatedNode) -> None:
        self.network.weather = ROUGH if self.plan.weather is CALM else STORM
        self._later(3 * SECOND_NS, self._calm)

    def _calm(self) -> None:
        self.network.weather = CALM if self.trouble_is_over else self.plan.weather

    def slow_disk(self, node: SimulatedNode) -> None:
        disk = node.disk
        disk.slow_down(400 * MILLISECOND_NS)
        self._later(2 * SECOND_NS, disk.recover)

    def clock_jump(self, node: SimulatedNode) -> None:
        node.clock.jump(self.random.choice((-1, 1)) * self.random.randrange(1, 4_000_000))

    def transfer(self, node: SimulatedNode) -> None:
        leader = self._leader()
        if leader is not None and node.driver is not None and node is not leader:
            leader.group.transfer(node.group.raft_id, _nobody_waits)

    def replace(self, node: SimulatedNode) -> None:
        """A member is taken out; then another one begins on its machine, with an empty disk."""
        leader = self._leader()
        everybody = all(one.runs and one.ready and one.driver is not None for one in self.nodes)
        if leader is None or leader is node or not everybody or self._leaving is not None or not self._is_complete():
            return
        self._leaving = node
        leader.group.remove(node.group.raft_id, lambda error: self._removed(node, error))

    def _removed(self, node: SimulatedNode, error: str | None) -> None:
        self.scheduler.note("removed", node.name, error)
        if error is not None:
            self._leaving = None
            return
        self.scheduler.after(MILLISECOND_NS, self._begin_anew, node)

    def _begin_anew(self, node: SimulatedNode) -> None:
        node.crash(power=False)
        node.wipe()
        node.options |= {"raft_bootstrap": False, "raft_join": ["node0:1"]}
        node.start()
        self._leaving = None

    def compact(self, node: SimulatedNode) -> None:
        if node.runs and node.ready:
            node.execute(b"BGREWRITEAOF")


def _nobody_waits(error: str | None) -> None:
    """What became of a change of members is seen by looking."""


TROUBLES: dict[str, tuple[Callable[[Simulation, SimulatedNode], None], float]] = {
    "crash": (Simulation.crash, 3),
    "crash_all": (Simulation.crash_all, 0.7),
    "pause": (Simulation.pause, 2),
    "isolate": (Simulation.isolate, 4),
    "rough_weather": (Simulation.rough_weather, 2),
    "slow_disk": (Simulation.slow_disk, 1),
    "clock_jump": (Simulation.clock_jump, 1),
    "transfer": (Simulation.transfer, 2),
    "compact": (Simulation.compact, 1),
    "replace": (Simulation.replace, 1),
}
