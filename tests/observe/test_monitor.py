"""The lines that MONITOR shows."""

from __future__ import annotations

from kvorum.observe.monitor import monitor_line


def test_a_line() -> None:
    line = monitor_line(1_339_518_083_107_412, 0, b"127.0.0.1:60866", [b"keys", b"*"])
    assert line == b'+1339518083.107412 [0 127.0.0.1:60866] "keys" "*"\r\n'


def test_words_are_quoted_so_that_a_line_stays_a_line() -> None:
    line = monitor_line(5, 12, b"[::1]:1", [b"set", b'a"\\', b"\r\n\t\a\b\x00\xff~"])
    assert line == b'+0.000005 [12 [::1]:1] "set" "a\\"\\\\" "\\r\\n\\t\\a\\b\\x00\\xff~"\r\n'
