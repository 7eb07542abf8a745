"""``kvorum group``: look at a Raft group and change it, by way of any member.

Exit status 0: done; 1: refused, or nobody answers; 2: wrong use. Members that do not lead say who does, and that one is asked.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

FAILED_STATUS = 1
DEFAULT_ADDRESS = "127.0.0.1:6379"
PASSWORD_VARIABLE = "KVORUM_PASSWORD"  # its name
TIMEOUT_S = 35.0  # a little more than the server takes for a change
MOST_REDIRECTS = 5
HANDED_OVER = "handed over"
HANDOVER_S = 5.0
PAUSE_S = 0.1
NOT_LEADER = "NOTLEADER "
NOBODY = "-"
COLUMNS = ("name", "role", "clients", "members", "index", "state", "id")


class GroupError(Exception):
    """The group or a member says no, or nobody answers; the text is for the operator."""


class Node:
    """A connection to one member."""

    def __init__(self, address: str, user: str, password: str) -> None:
        from kvorum.resp.replies import ReplyParser

        self.address = address
        self._parser = ReplyParser()
        host, _, port = address.rpartition(":")
        try:
            self._socket = socket.create_connection((host.strip("[]"), int(port)), timeout=TIMEOUT_S)
        except (OSError, ValueError) as error:
            raise GroupError(f"{address}: {error}") from error
        if password:
            self.ask("AUTH", *([user] if user else []), password)

    def ask(self, *words: str) -> Any:
        """The reply. Raises GroupError, with the text of an error reply."""
        from kvorum.errors import CommandError
        from kvorum.resp.replies import INCOMPLETE, ReplyProtocolError
        from kvorum.resp.requests import request

        encoded = [word.encode("utf-8", "surrogateescape") for word in words]
        try:
            self._socket.sendall(request(*encoded))
            while (reply := self._parser.next()) is INCOMPLETE:
                received = self._socket.recv(65536)
                if not received:
                    raise GroupError(f"{self.address}: the server has closed the connection")
                self._parser.feed(received)
        except (OSError, ReplyProtocolError) as error:
            raise GroupError(f"{self.address}: {error}") from error
        if isinstance(reply, CommandError):
            raise GroupError(reply.message.decode("utf-8", "replace"))
        return reply

    def close(self) -> None:
        self._socket.close()


class Way:
    """How to reach the group: the address that was named, and who asks."""

    def __init__(self, address: str, user: str, password: str) -> None:
        self.address = address
        self.user = user
        self.password = password

    def ask(self, address: str, *words: str) -> Any:
        """One question to one member."""
        node = Node(address, self.user, self.password)
        try:
            return node.ask(*words)
        finally:
            node.close()

    def ask_leader(self, *words: str) -> Any:
        """A question that only the leader answers, wherever it is. If it leaves, its successor is asked."""
        address, redirects = self.address, 0
        deadline = time.monotonic() + HANDOVER_S
        while True:
            try:
                return self.ask(address, *words)
            except GroupError as error:
                text = str(error)
                if text.startswith(NOT_LEADER):
                    address = text.removeprefix(NOT_LEADER)
                    redirects += 1
                elif HANDED_OVER not in text:
                    raise
                if address == NOBODY or redirects > MOST_REDIRECTS or HANDED_OVER in text:
                    if time.monotonic() > deadline:
                        raise GroupError("the group has no leader at present") from error
                    address, redirects = self.address, 0
                    time.sleep(PAUSE_S)


@contextmanager
def reported() -> Iterator[None]:
    """What is refused goes to the operator."""
    try:
        yield
    except GroupError as error:
        click.echo(f"kvorum: {str(error).removeprefix('ERR ')}", err=True)
        sys.exit(FAILED_STATUS)


def _connected(function: Callable[..., None]) -> Callable[..., None]:
    """The options that every subcommand has."""
    for option in (
        click.option("--user", default="", help="User to log in as."),
        click.option("--password", default=None, help=f"Password; better in the environment, as {PASSWORD_VARIABLE}."),
        click.option("-m", "--member", "address", default=DEFAULT_ADDRESS, metavar="HOST:PORT", show_default=True,
                     help="Any member of the group, by its address for clients."),
    ):  # fmt: skip
        function = option(function)
    return function


def _way(address: str, user: str, password: str | None) -> Way:
    if ":" not in address:
        address = f"{address}:6379"
    return Way(address, user, os.environ.get(PASSWORD_VARIABLE, "") if password is None else password)


@click.group("group", short_help="Look at a Raft group and change it.")
def group() -> None:
    """Look at a group of servers that replicate each other, and change it. Members are named by name, id or address."""


@group.command("status", short_help="Who is in the group, who leads, and how far everybody is.")
@_connected
def status(address: str, user: str, password: str | None) -> None:
    """Show the group as its leader sees it, or, if there is none, as the named member does."""
    with reported():
        way = _way(address, user, password)
        info = _fields(way.ask(way.address, "RAFT", "INFO"))
        if info["leader_address"] and info["role"] != "leader":
            try:
                info = _fields(way.ask(info["leader_address"], "RAFT", "INFO"))
            except GroupError as error:
                click.echo(f"kvorum: the leader cannot be asked: {error}", err=True)
        click.echo("\n".join(shown(info)))


def shown(info: dict[str, Any]) -> Iterator[str]:
    """The lines of ``status``."""
    leader = info["leader"] or "nobody"
    yield f"group {info['group'] or '(none yet)'}, term {info['term']}, committed {info['commit_index']}, led by {leader}"
    rows = [COLUMNS, *(_row(_fields(member), info["leader"]) for member in info["members"])]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _row(member: dict[str, Any], leader: str) -> tuple[str, ...]:
    role = "leader" if member["name"] == leader else "voter" if member["votes"] else "learner"
    state = str(member.get("state", ""))
    if member.get("reachable", 1) == 0:
        state = "unreachable"
    index = str(member.get("match_index", ""))
    return (member["name"], role, member["client_address"], member["peer_address"], index, state, str(member["id"]))


def _fields(flat: Sequence[Any]) -> dict[str, Any]:
    """A map as RESP2 has it, with texts for bytes."""
    pairs = zip(flat[::2], flat[1::2], strict=True)
    return {
        name.decode(): value.decode("utf-8", "replace") if isinstance(value, bytes) else value for name, value in pairs
    }


@group.command("add", short_help="Let a server that waits for a group join this one.")
@click.argument("server", metavar="HOST:PORT")
@_connected
def add(server: str, address: str, user: str, password: str | None) -> None:
    """Tell the server at HOST:PORT, which belongs to no group and waits for one (it was started with --raft-join or --peers), to
    join the group of the member. It learns first, and votes when it has caught up."""
    with reported():
        way = _way(address, user, password)
        members = [_fields(member) for member in _fields(way.ask(way.address, "RAFT", "INFO"))["members"]]
        if not members:
            raise GroupError(f"{way.address} belongs to no group")
        way.ask(server, "RAFT", "INVITE", members[0]["peer_address"])
        click.echo(f"{server} was told to join; see: kvorum group status -m {way.address}")


@group.command("remove", short_help="Take a member out of the group, for good.")
@click.argument("name", metavar="MEMBER")
@_connected
def remove(name: str, address: str, user: str, password: str | None) -> None:
    """Take a member out, dead or alive. It can come back only as a new member, with an empty directory. The leader hands over
    before it leaves."""
    with reported():
        _way(address, user, password).ask_leader("RAFT", "REMOVE", name)
        click.echo(f"{name} is no member any more")


@group.command("transfer", short_help="Let another member lead.")
@click.argument("name", metavar="[MEMBER]", required=False)
@_connected
def transfer(name: str | None, address: str, user: str, password: str | None) -> None:
    """Let MEMBER lead, or whoever is furthest. Clients that wait get their answers; nothing is lost."""
    with reported():
        way = _way(address, user, password)
        way.ask_leader("RAFT", "TRANSFER", *([name] if name else []))
        click.echo("done")
