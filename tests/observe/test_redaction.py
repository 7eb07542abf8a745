"""What SLOWLOG and MONITOR hide."""

from __future__ import annotations

import pytest

from kvorum.observe.redaction import redact


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("AUTH secret", "AUTH (redacted)"),
        ("auth name secret", "auth (redacted) (redacted)"),
        ("HELLO 3 AUTH name secret SETNAME me", "HELLO 3 AUTH (redacted) (redacted) SETNAME me"),
        ("hello 3 setname me auth name secret", "hello 3 setname me auth (redacted) (redacted)"),
        ("HELLO 3 AUTH name", "HELLO 3 AUTH name"),
        ("CONFIG SET requirepass secret maxmemory 1", "CONFIG SET requirepass (redacted) maxmemory 1"),
        ("config set maxmemory 1 MASTERAUTH secret", "config set maxmemory 1 MASTERAUTH (redacted)"),
        ("CONFIG GET requirepass", "CONFIG GET requirepass"),
        ("CONFIG SET requirepass", "CONFIG SET requirepass"),
        ("ACL SETUSER name on >secret", "ACL SETUSER (redacted) (redacted) (redacted)"),
        ("ACL LIST", "ACL LIST"),
        (
            "MIGRATE host 1 key 0 10 COPY AUTH2 name secret KEYS auth",
            "MIGRATE host 1 key 0 10 COPY AUTH2 (redacted) (redacted) KEYS auth",
        ),
        ("MIGRATE host 1 key 0 10 AUTH secret", "MIGRATE host 1 key 0 10 AUTH (redacted)"),
        ("SET auth secret", "SET auth secret"),
        ("GET requirepass", "GET requirepass"),
    ],
)
def test_redaction(line: str, shown: str) -> None:
    request = line.encode().split()
    before = list(request)
    assert b" ".join(redact(request)).decode() == shown
    assert request == before


def test_nothing_to_hide() -> None:
    assert redact([]) == []
