"""Configuration: every option declared once, one ``Config`` per server, and where its values come from.

``options`` is the table, ``kinds`` how each kind of option reads and writes its value, ``store`` the values of one
server, ``file`` the syntax of redis.conf, ``sources`` the merging of file, environment and flags, ``rewrite`` CONFIG
REWRITE.
"""

from kvorum.config.file import ConfigError
from kvorum.config.kinds import ValueRefusedError
from kvorum.config.sources import load
from kvorum.config.store import Config

__all__ = ["Config", "ConfigError", "ValueRefusedError", "load"]
