"""Finding a command by its name, in any case of letters.

This is the first step of every request. In the compiled twin ``find`` and ``resolve`` are C methods that take a
``Span`` and make no Python object; ``get`` is for Python callers. Here a dictionary does the same.

An index is built once from (lower-case name, command) pairs and never changes: a registry in which a command was
renamed builds a new one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from kvorum.commands.command import Command

NAME_BYTES = 40


class CommandIndex:
    """Commands by name. ``commands``: a mapping or pairs of lower-case name and command."""

    __slots__ = ("_commands",)

    def __init__(self, commands: Mapping[bytes, Command] | Iterable[tuple[bytes, Command]]) -> None:
        self._commands = dict(commands)
        for name in self._commands:
            if not 0 < len(name) <= NAME_BYTES:
                raise ValueError(f"the name of a command has 1 to {NAME_BYTES} bytes: {name!r}")

    def __len__(self) -> int:
        return len(self._commands)

    def get(self, name: bytes) -> Command | None:
        """The command of this name, or None."""
        return self._commands.get(name.lower())

    def find(self, name: bytes) -> Command | None:
        """The same for a word of a request."""
        return self._commands.get(name.lower())

    def resolve(self, argv: Sequence[bytes], argc: int) -> Command | None:
        """The command of a whole request: a container's subcommand if a second word is there; None if unknown."""
        command = self.find(argv[0])
        if command is None or not command.is_container or argc < 2:
            return command
        index = command.index
        assert isinstance(index, CommandIndex)
        return index.find(argv[1])
