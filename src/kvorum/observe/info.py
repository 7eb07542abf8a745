"""INFO: sections of ``name:value`` lines, in Redis' words and order.

A section is a function from the server to its fields (``sections``, ``command_sections``). A part of the server that
knows better (the journal about persistence, replication about roles) registers a provider under the section's name in
``ServerContext.info_providers``: its fields replace and extend the section's own. A provider under any other name
makes a section of its own, shown when it is asked for, and by ``everything``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from kvorum.observe import command_sections, sections
from kvorum.observe.replication import replication

if TYPE_CHECKING:
    from kvorum.session.context import ServerContext

Section = Callable[["ServerContext"], Mapping[str, object]]

# In the order in which they are shown.
SECTIONS: dict[str, Section] = {
    "server": sections.server,
    "clients": sections.clients,
    "memory": sections.memory,
    "persistence": sections.persistence,
    "stats": sections.stats,
    "replication": replication,
    "cpu": sections.cpu,
    "modules": sections.modules,
    "commandstats": command_sections.commandstats,
    "errorstats": command_sections.errorstats,
    "latencystats": command_sections.latencystats,
    "cluster": sections.cluster,
    "keyspace": sections.keyspace,
}
TITLES = {"cpu": "CPU"}
ON_DEMAND = frozenset(["commandstats", "latencystats"])
DEFAULT = frozenset(SECTIONS) - ON_DEMAND
SYNONYMS = {"module_list": "modules"}


def info_text(server: ServerContext, words: Iterable[bytes] = ()) -> bytes:
    """The answer to INFO with these arguments; names that mean nothing add nothing."""
    chosen = chosen_sections([word.decode("utf-8", "replace").lower() for word in words], server.info_providers)
    return b"\r\n".join(_section_text(server, name) for name in chosen)


def chosen_sections(words: list[str], extra: Iterable[str]) -> list[str]:
    """Names of the sections to show, in order. ``extra``: sections that providers add."""
    known = [*SECTIONS, *(name for name in extra if name not in SECTIONS)]
    if "everything" in words:
        return known
    wanted = {SYNONYMS.get(word, word) for word in words}
    if not words or "default" in words:
        wanted |= DEFAULT
    if "all" in words:
        wanted |= SECTIONS.keys()
    return [name for name in known if name in wanted]


def _section_text(server: ServerContext, name: str) -> bytes:
    section, provider = SECTIONS.get(name), server.info_providers.get(name)
    fields = dict(section(server)) if section is not None else {}
    if provider is not None:
        fields |= provider()
    lines = [f"# {TITLES.get(name, name.capitalize())}", *(f"{field}:{value}" for field, value in fields.items())]
    return "".join(f"{line}\r\n" for line in lines).encode("utf-8", "surrogateescape")
