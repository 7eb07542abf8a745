"""The page of commands says what the declarations say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kvorum.commands import all_groups
from kvorum.commands.document import places, render
from kvorum.commands.registry import Registry
from kvorum.commands.spec import (
    BeginIndex,
    BeginKeyword,
    BeginUnknown,
    FindCount,
    FindRange,
    FindUnknown,
    KeyFlag,
    KeySpec,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def page() -> str:
    return render()


def test_the_page_is_up_to_date(page: str) -> None:
    written = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    assert written == page, "run: python -m kvorum.commands.document"


def test_every_command_has_one_entry_with_syntax_and_summary(page: str) -> None:
    entries = re.findall(r"^###+ (.+)$", page, re.MULTILINE)
    names = [command.name.decode().upper().replace("|", " ") for command in Registry(all_groups()).everything()]
    assert sorted(entries) == sorted(names)
    for name in names:
        entry = page.split(f"# {name}\n")[1].split("\n#")[0]
        assert f"`{name}" in entry or "Subcommands:" in entry, name
        assert re.search(r"^[A-Z].*[.*]$", entry, re.MULTILINE), name


def test_links_lead_to_entries(page: str) -> None:
    anchors = [title.lower().replace(" ", "-") for title in re.findall(r"^#+ (.+)$", page, re.MULTILINE)]
    assert len(anchors) == len(set(anchors)), "two headings share an anchor"
    assert set(re.findall(r"\]\(#([^)]+)\)", page)) <= set(anchors)


def test_keys_are_described() -> None:
    page = render()

    def keys(name: str) -> list[str]:
        return re.findall(r"^- keys: (.*)$", page.split(f"### {name}\n")[1].split("\n###")[0], re.MULTILINE)

    assert keys("RENAME") == ["word 1 (RW access delete)", "word 2 (OW update)"]
    assert keys("MSET") == ["word 1 to the last, every 2 words (OW update)"]
    assert keys("OBJECT ENCODING") == ["word 2 (RO)"]
    assert keys("PING") == []


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (KeySpec(KeyFlag.RO, BeginIndex(2), FindRange(-2)), "word 2 to the last but 1"),
        (
            KeySpec(KeyFlag.RO, BeginKeyword("streams", 4), FindRange(-1, 1, 2)),
            "the word after `STREAMS` to the first 1/2 of the rest",
        ),
        (KeySpec(KeyFlag.RO, BeginKeyword("keys", -2)), "the word after `KEYS`"),
        (KeySpec(KeyFlag.RO, BeginIndex(2), FindCount(0, 1, 1)), "word 2 says how many follow"),
        (
            KeySpec(KeyFlag.RO, BeginIndex(2), FindCount(0, 2, 2)),
            "word 2 says how many follow after 1 more, every 2 words",
        ),
        (KeySpec(KeyFlag.RO, BeginUnknown(), FindUnknown()), "cannot be told from the outside"),
    ],
)
def test_places_of_keys_in_words(spec: KeySpec, expected: str) -> None:
    assert places(spec) == expected
