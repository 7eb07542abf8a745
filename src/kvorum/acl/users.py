"""Users. So far there is the default user, whose password is ``requirepass``.

Passwords are kept as SHA-256 digests only, and compared in constant time.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field

DEFAULT_USER = b"default"


def digest(password: bytes) -> str:
    """The form in which a password is kept: 64 hexadecimal digits."""
    return hashlib.sha256(password).hexdigest()


@dataclass(slots=True)
class User:
    """One user. ``no_password`` accepts any password; ``unrestricted`` may run every command on every key."""

    name: bytes
    enabled: bool = True
    no_password: bool = True
    unrestricted: bool = True
    passwords: set[str] = field(default_factory=set)

    def accepts(self, password: bytes) -> bool:
        """Whether this password opens the door."""
        if not self.enabled:
            return False
        if self.no_password:
            return True
        offered = digest(password)
        matches = [hmac.compare_digest(offered, kept) for kept in self.passwords]
        return any(matches)


class Users:
    """All users of one server, by name."""

    def __init__(self) -> None:
        self.default = User(DEFAULT_USER)
        self._by_name = {DEFAULT_USER: self.default}

    def require_password(self, password: bytes) -> None:
        """Set the default user's only password; an empty one opens it to everybody (``requirepass``)."""
        self.default.passwords = {digest(password)} if password else set()
        self.default.no_password = not password

    def find(self, name: bytes) -> User | None:
        """The user of that name."""
        return self._by_name.get(name)

    def authenticate(self, name: bytes, password: bytes) -> User | None:
        """The user if name and password are right, else None."""
        user = self._by_name.get(name)
        if user is None or not user.accepts(password):
            return None
        return user
