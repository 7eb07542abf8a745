"""A group of servers on this machine, to play with: ``make cluster-up``, ``make cluster-down``, ``make rejoin``.

    python tools/devcluster.py up [--size 3] [--port 7001] [SERVER OPTIONS]
    python tools/devcluster.py down [--wipe]
    python tools/devcluster.py status
    python tools/devcluster.py rejoin NODE [PORT]

Everything is below ``.devcluster``: each server's data, log (``n1.log``) and process id (``n1.pid``), and in ``group.json`` how
the group was started. ``up`` again starts what does not run, with its data. ``rejoin`` starts a server that was killed; a
node that the group does not have yet is added to it. Only processes that were started from here are ended: the process id must
belong to a server with this directory.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from kvorum.testing.connection import Connection, ReplyError, fields_of
from kvorum.testing.kvorum_server import kvorum_command
from kvorum.testing.process import free_port

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".devcluster"
HOST = "127.0.0.1"
FIRST_PORT = 7001
LIMIT_S = 30.0
POLL_S = 0.05
LAST_LINES = 5


class TroubleError(Exception):
    """It did not work; the text is for the user."""


@dataclass(slots=True)
class Group:
    """How it was started: the port of each node, which of them formed the group, and the options of all."""

    ports: dict[str, int]
    founders: list[str]
    options: list[str]

    @classmethod
    def load(cls) -> Group:
        """What stands in ``group.json``."""
        try:
            return cls(**json.loads((FOLDER / "group.json").read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise TroubleError("there is no group; `make cluster-up` makes one") from None

    def save(self) -> None:
        """Write it."""
        FOLDER.mkdir(exist_ok=True)
        (FOLDER / "group.json").write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")


def directory_of(name: str) -> Path:
    """Where a node has its data."""
    return FOLDER / name


def pid_of(name: str) -> int | None:
    """The process id of a node that runs; None if it does not."""
    try:
        pid = int((FOLDER / f"{name}.pid").read_text(encoding="ascii"))
        words = command_of(pid)
    except (OSError, ValueError):
        return None
    return pid if str(directory_of(name)).encode() in words else None


def command_of(pid: int) -> list[bytes]:
    """The command line of a process; empty if it has ended. Raises OSError if there is none."""
    while True:
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
        if line or state == "Z":
            return line.split(b"\0")
        time.sleep(POLL_S)  # it is just being started


def command(group: Group, name: str) -> list[str]:
    """How a node is started: a founder by the list of founders, any other by one who is there."""
    if name in group.founders:
        place = ["--peers", ",".join(f"{HOST}:{group.ports[founder]}" for founder in group.founders)]
        place = place if len(group.founders) > 1 else ["--raft-bootstrap", "yes"]
    else:
        place = ["--raft-join", f"{HOST}:{group.ports[somebody(group, name)]}"]
    return [
        *kvorum_command(), "server", "--host", HOST, "--port", str(group.ports[name]), "--node-id", name,
        "--dir", str(directory_of(name)), *place, *group.options,
    ]  # fmt: skip


def somebody(group: Group, name: str) -> str:
    """A node that runs and is not this one."""
    for other in group.ports:
        if other != name and pid_of(other) is not None:
            return other
    raise TroubleError(f"{name} has nobody to join: no other node runs")


def start(group: Group, name: str) -> None:
    """Start a node in the background, and wait until it answers."""
    directory_of(name).mkdir(parents=True, exist_ok=True)
    words = command(group, name)
    with open(FOLDER / f"{name}.log", "ab") as log, open(os.devnull, "rb") as nothing:
        streams = [(os.POSIX_SPAWN_DUP2, nothing.fileno(), 0)]
        streams += [(os.POSIX_SPAWN_DUP2, log.fileno(), number) for number in (1, 2)]
        # It goes on when this program has ended, in a session of its own, so that Ctrl-C is not for it.
        pid = os.posix_spawn(words[0], words, os.environ, file_actions=streams, setsid=True)
    (FOLDER / f"{name}.pid").write_text(str(pid), encoding="ascii")


def wait_answer(group: Group, name: str) -> None:
    """Until it answers; raises TroubleError with the end of its log if it does not."""
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline and pid_of(name) is not None:
        if info(group.ports[name]):
            return
        time.sleep(POLL_S)
    tail = (FOLDER / f"{name}.log").read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:]
    raise TroubleError("\n".join([f"{name} did not start:", *tail]))


def info(port: int) -> dict[str, str]:
    """What a node says of replication; empty if it does not answer."""
    try:
        with Connection(HOST, port, 1.0) as connection:
            return fields_of(connection.call("INFO", "replication"))
    except (OSError, ReplyError):
        return {}


def wait_well(group: Group) -> None:
    """Until somebody leads, and all who run vote."""
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        roles = [info(port).get("node_role") for name, port in group.ports.items() if pid_of(name) is not None]
        if roles.count("leader") == 1 and set(roles) <= {"leader", "follower"}:
            return
        time.sleep(POLL_S)
    raise TroubleError(f"not all have found each other; the logs are in {FOLDER}")


def up(size: int, port: int, options: list[str]) -> None:
    """Make a group, or start those of its nodes that do not run."""
    try:
        group = Group.load()
    except TroubleError:
        names = [f"n{number + 1}" for number in range(size)]
        group = Group(
            {name: port + number if port else free_port() for number, name in enumerate(names)}, names, options
        )
        group.save()
    started = [name for name in group.ports if pid_of(name) is None]
    for name in started:
        start(group, name)
    for name in started:
        wait_answer(group, name)
    wait_well(group)
    status(group)


def down(wipe: bool) -> None:
    """End all nodes; their data stay unless they are to be wiped."""
    group = Group.load()
    running = {name: pid for name in group.ports if (pid := pid_of(name)) is not None}
    for pid in running.values():
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + LIMIT_S
    for name in running:
        while pid_of(name) is not None:
            if time.monotonic() > deadline:
                raise TroubleError(f"{name} (process {running[name]}) does not end")
            time.sleep(POLL_S)
    print(f"ended: {', '.join(running) or 'nothing ran'}")
    if wipe:
        remove(FOLDER)


def remove(folder: Path) -> None:
    """A folder and all in it."""
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()


def rejoin(name: str, port: int | None) -> None:
    """Start a node that does not run, on this port; a new one joins the group."""
    group = Group.load()
    if pid_of(name) is not None:
        raise TroubleError(f"{name} runs already (process {pid_of(name)})")
    if name not in group.ports and port is None:
        raise TroubleError(f"{name} is new, so it needs a port: REJOIN_PORT=…")
    if port is not None and group.ports.get(name, port) != port and name in group.founders:
        raise TroubleError(f"{name} is known to the others at port {group.ports[name]}, not at {port}")
    if port is not None:
        group.ports[name] = port
    group.save()
    start(group, name)
    wait_answer(group, name)
    wait_well(group)
    status(group)


def status(group: Group) -> None:
    """A line for each node."""
    for name, port in group.ports.items():
        told, pid = info(port), pid_of(name)
        role = {"master": "leads", "slave": "follows"}.get(told.get("role", ""), "does not answer")
        state = f"pid {pid}, {role}, term {told.get('term', '?')}" if pid is not None else "does not run"
        print(f"{name}  {HOST}:{port}  {state}")
    print(f"data, logs and process ids: {FOLDER}")


def main(words: Sequence[str]) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="devcluster", description="A group of servers on this machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("up")
    making.add_argument("--size", type=int, default=3)
    making.add_argument("--port", type=int, default=FIRST_PORT, help="of the first node; the others follow; 0: any")
    commands.add_parser("down").add_argument("--wipe", action="store_true", help="remove .devcluster, too")
    commands.add_parser("status")
    joining = commands.add_parser("rejoin")
    joining.add_argument("node")
    joining.add_argument("port", type=int, nargs="?")
    options, others = parser.parse_known_args(words)
    if others and options.command != "up":
        parser.error(f"unknown: {' '.join(others)}")
    try:
        if options.command == "up":
            up(options.size, options.port, others)
        elif options.command == "down":
            down(options.wipe)
        elif options.command == "status":
            status(Group.load())
        else:
            rejoin(options.node, options.port)
    except TroubleError as trouble:
        print(f"kvorum: {trouble}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
