"""Where COMMAND INFO and COMMAND DOCS may say something else than redis-server 7.0.15 does, each with its reason.

``MEANT`` maps (full name, field) to the reason; the field is that of ``facts.FACTS`` or ``facts.TOPICS``. A difference
that is listed here and no longer exists fails the test too. Words of prose (summary, complexity, notes, the wording of
history and of what replaces a command) are kvorum's own and are not compared at all.
"""

from __future__ import annotations

BARE_KEYS = "KEYS without a pattern lists every key, as one of the reference systems does"
RANK_WITH_SCORE = "WITHSCORE, which came with 7.2"

MEANT: dict[tuple[str, str], str] = {
    ("zrank", "arity"): RANK_WITH_SCORE,
    ("zrank", "arguments"): RANK_WITH_SCORE,
    ("zrank", "history"): RANK_WITH_SCORE,
    ("zrevrank", "arity"): RANK_WITH_SCORE,
    ("zrevrank", "arguments"): RANK_WITH_SCORE,
    ("zrevrank", "history"): RANK_WITH_SCORE,
    ("keys", "arity"): BARE_KEYS,
    ("keys", "arguments"): BARE_KEYS,
}
