"""The commands of one server: look-up, containers, statistics.

A ``Registry`` is built from groups of declarations when a server is composed. It owns one ``Command`` per declaration,
the index that the session searches on every request, and the texts for what is not found. Two servers in one process
have two registries and share only the declarations.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from kvorum import errors
from kvorum.commands.command import Command
from kvorum.commands.index import CommandIndex
from kvorum.commands.spec import Declaration, Group

__all__ = ["Command", "Registry"]


class Registry:
    """``index`` is what the pipeline searches; ``commands`` are the top-level ones by lower-case name."""

    def __init__(self, groups: Iterable[Group]) -> None:
        self.commands: dict[bytes, Command] = {}
        self._ids = 0
        for group in groups:
            for declaration in group.declarations:
                self._add(declaration)
        self.index = CommandIndex(self.commands)

    def _add(self, declaration: Declaration) -> None:
        command = self._made(declaration)
        assert command.name not in self.commands, f"{command.name!r} is declared twice"
        self.commands[command.name] = command
        for subdeclaration in declaration.subcommands:
            subcommand = self._made(subdeclaration)
            command.subcommands[subdeclaration.name.lower().encode()] = subcommand
        if command.is_container:
            command.index = CommandIndex(command.subcommands)

    def _made(self, declaration: Declaration) -> Command:
        command = Command(declaration, declaration.full_name.encode(), self._ids)
        self._ids += 1
        return command

    def __len__(self) -> int:
        """How many top-level commands there are."""
        return len(self.commands)

    def __iter__(self) -> Iterator[Command]:
        """The top-level commands in the order of their declaration."""
        return iter(self.commands.values())

    def everything(self) -> Iterator[Command]:
        """All commands, each container followed by its subcommands."""
        for command in self.commands.values():
            yield command
            yield from command.subcommands.values()

    def get(self, full_name: bytes) -> Command | None:
        """By full name in any case of letters: ``get``, ``client|list``."""
        name, separator, rest = full_name.lower().partition(b"|")
        command = self.commands.get(name)
        return command if command is None or not separator else command.subcommands.get(rest)

    def lookup(self, request: Sequence[bytes]) -> Command | None:
        """The command of a whole request; a container's subcommand if there is a second word."""
        command = self.commands.get(request[0].lower())
        if command is None or not command.is_container or len(request) < 2:
            return command
        return command.subcommands.get(request[1].lower())

    def unknown(self, request: Sequence[bytes]) -> bytes:
        """The error text for a request that ``lookup`` does not know."""
        container = self.commands.get(request[0].lower())
        if container is not None and len(request) > 1:
            return errors.unknown_subcommand(request[0], request[1])
        return errors.unknown_command(request)

    def rename(self, old: bytes, new: bytes) -> None:
        """Give a top-level command another name; an empty one takes it away (``rename-command``).

        Only before clients are served: whoever holds ``index`` goes on with the old one. Statistics, ACL rules and
        effects keep speaking of the old name.
        """
        old, new = old.lower(), new.lower()
        if old not in self.commands:
            raise KeyError(old)
        if new and new in self.commands:
            raise ValueError(f"a command named {new!r} exists already")
        command = self.commands.pop(old)
        if new:
            self.commands[new] = command
        self.index = CommandIndex(self.commands)

    def reset_statistics(self) -> None:
        """Count calls, times and errors from zero again (CONFIG RESETSTAT)."""
        for command in self.everything():
            command.reset_statistics()
