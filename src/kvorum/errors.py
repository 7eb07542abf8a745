"""Redis' error texts: the one place where they stand.

Clients match on the prefix and often on the words, so a text here is part of the protocol. Texts are bytes without the
leading ``-``. Handlers raise ``CommandError(text)``; the session turns it into an error reply and changes nothing else.
"""

from __future__ import annotations


class CommandError(Exception):
    """An error reply. ``message`` is the full text without the leading ``-``, prefix included."""

    def __init__(self, message: bytes) -> None:
        super().__init__(message)
        self.message = message

    @property
    def code(self) -> bytes:
        """The prefix, as counted by INFO errorstats."""
        return self.message.split(b" ", 1)[0]


class WrongTypeError(CommandError):
    """The key holds a value of another type than the command works on."""

    def __init__(self) -> None:
        super().__init__(WRONG_TYPE)


# Values and syntax
WRONG_TYPE = b"WRONGTYPE Operation against a key holding the wrong kind of value"
SYNTAX = b"ERR syntax error"
NOT_AN_INTEGER = b"ERR value is not an integer or out of range"
NOT_A_FLOAT = b"ERR value is not a valid float"
NO_SUCH_KEY = b"ERR no such key"
INDEX_OUT_OF_RANGE = b"ERR index out of range"
INCREMENT_OVERFLOW = b"ERR increment or decrement would overflow"
STRING_TOO_LONG = b"ERR string exceeds maximum allowed size (proto-max-bulk-len)"
OFFSET_OUT_OF_RANGE = b"ERR offset is out of range"
INVALID_CURSOR = b"ERR invalid cursor"
DB_OUT_OF_RANGE = b"ERR DB index is out of range"

# Admission
NO_AUTHENTICATION = b"NOAUTH Authentication required."
WRONG_PASSWORD = b"WRONGPASS invalid username-password pair or user is disabled."
LOADING = b"LOADING Redis is loading the dataset in memory"
OUT_OF_MEMORY = b"OOM command not allowed when used memory > 'maxmemory'."
READ_ONLY = b"READONLY You can't write against a read only replica."
MAX_CLIENTS = b"ERR max number of clients reached"


def wrong_arity(full_name: bytes) -> bytes:
    """``full_name``: lower-case command name, for a subcommand ``container|sub``."""
    return b"ERR wrong number of arguments for '" + full_name + b"' command"


def invalid_expire(full_name: bytes) -> bytes:
    return b"ERR invalid expire time in '" + full_name + b"' command"
