"""What is said of the options elsewhere agrees with the table."""

from __future__ import annotations

import re
from pathlib import Path

from kvorum.config.document import render
from kvorum.config.kinds import Effect
from kvorum.config.options import OPTIONS

ROOT = Path(__file__).parents[2]


def test_the_page_of_options_is_up_to_date() -> None:
    page = (ROOT / "docs" / "options.md").read_text(encoding="utf-8")
    assert page == render(), "run: python -m kvorum.config.document"


def test_an_option_that_has_an_effect_is_read_by_somebody() -> None:
    sources = [path for path in (ROOT / "src" / "kvorum").rglob("*.py*") if path.suffix in (".py", ".pyx")]
    code = "\n".join(path.read_text(encoding="utf-8") for path in sources if path.parent.name != "config")
    read = set(re.findall(r"config\.(\w+)", code)) | {"enable_protected_configs", "dir"}
    live = {option.attribute for option in OPTIONS if option.effect is Effect.LIVE and not option.lacking}
    assert live - read == set()
