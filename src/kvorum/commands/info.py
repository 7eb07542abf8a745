"""INFO. What it says is put together by ``kvorum.observe.info``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvorum.commands.spec import Category, Flag, Group, String
from kvorum.observe.info import info_text
from kvorum.resp.types import Verbatim

if TYPE_CHECKING:
    from kvorum.commands.call import Call

INFO = Group("server")


@INFO.command(
    "INFO",
    since="1.0.0",
    arity=-1,
    flags=Flag.LOADING | Flag.STALE | Flag.SENTINEL,
    more_categories=Category.DANGEROUS,
    arguments=[String("section", optional=True, multiple=True)],
    history=[("7.0.0", "Several sections in one call.")],
    tips=["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
    complexity="O(1), with errorstats, commandstats and latencystats O(N) in what they list, with memory in clients.",
    summary="Describes the server: versions, clients, memory, statistics, keys.",
)
def info(call: Call, sections: list[bytes]) -> Verbatim:
    return Verbatim(b"txt", info_text(call.server, sections))
