"""Outside judges: what is read from the suites' output, the lists, and the judgement."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from contextlib import nullcontext
from pathlib import Path

import pytest
from judges import cli, redis_py, report, running, tair, tcl
from judges.lists import Line, ListError, Results, Test, judge, read_list, read_tests, write_tests

from kvorum.testing.kvorum_server import KvorumServer

ONE, OTHER, TWICE = Test("unit/a", "one thing"), Test("unit/a", "another"), Test("unit/b", "a thing done twice")
BASELINE = Counter({ONE: 1, OTHER: 1, TWICE: 2})


def later(*tests: Test) -> list[Line]:
    return [Line(test, "streams") for test in tests]


def test_all_is_well_if_what_fails_is_listed() -> None:
    judgement = judge(BASELINE, Counter({ONE: 1, TWICE: 1}), later(TWICE), [Line(OTHER, "takes minutes")])
    assert judgement.good
    whole = judgement.whole
    assert (whole.total, whole.passed, whole.needs_later, whole.skipped) == (4, 2, 1, 1)
    assert judgement.units["unit/b"].passed == 1


def test_a_failure_that_is_not_listed() -> None:
    judgement = judge(BASELINE, Counter({ONE: 1, OTHER: 1, TWICE: 1}), [], [])
    assert not judgement.good
    assert judgement.unexpected == (TWICE,)


def test_a_listed_test_that_passes_must_leave_the_list() -> None:
    judgement = judge(BASELINE, BASELINE, later(OTHER), [])
    assert not judgement.good
    assert [line.test for line in judgement.outdated] == [OTHER]


def test_a_listed_test_that_nobody_knows_must_leave_the_list() -> None:
    judgement = judge(BASELINE, BASELINE, [], [Line(Test("unit/c", "gone"), "takes minutes")])
    assert [line.test.unit for line in judgement.outdated] == ["unit/c"]


def test_what_redis_does_not_pass_does_not_count() -> None:
    judgement = judge(BASELINE, BASELINE + Counter({Test("unit/a", "more"): 1}), [], [])
    assert judgement.good
    assert judgement.whole.passed == judgement.whole.total == 4


def test_a_second_run_adds_what_passes_only_there() -> None:
    first = Results(Counter({ONE: 1}), {OTHER: "late"}, ["broke off"])
    first.better_of(Results(Counter({OTHER: 1}), {ONE: "late"}, []))
    assert first.passed == Counter({ONE: 1, OTHER: 1})
    assert first.failed == {}
    assert first.remarks == []


def test_lists_are_read_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "tcl.skip.txt"
    assert read_list(path) == []
    path.write_text("# why\n\nunit/a\tone thing\tit takes minutes\n", encoding="utf-8")
    assert read_list(path) == [Line(ONE, "it takes minutes")]
    path.write_text("unit/a\tone thing\tit takes minutes\nunit/a\tanother\n", encoding="utf-8")
    with pytest.raises(ListError, match=r"tcl\.skip\.txt, line 2"):
        read_list(path)


def test_a_baseline_is_written_and_read(tmp_path: Path) -> None:
    write_tests(tmp_path / "new" / "tcl.txt", BASELINE)
    assert read_tests(tmp_path / "new" / "tcl.txt") == BASELINE


@pytest.mark.parametrize("suite", [suite.name for suite in cli.SUITES])
def test_the_lists_of_the_project_can_be_read(suite: str) -> None:
    for kind in ("needs-later", "skip"):
        lines = read_list(cli.LISTS / f"{suite}.{kind}.txt")
        assert lines == sorted(lines, key=lambda line: line.test)


TCL_LOG = """\
Cleanup: may take some time... OK
Testing unit/a
[ready]: 12345
[ok]: one thing (12 ms)
[ok]: 7 (seven) things (0 ms)
[err]: another in tests/unit/a.tcl
Expected 'x' to be equal to 'y'
(context: type eval)
[ok]: one thing (3 ms)
[ignore]: slow thing: large memory flag not provided
[exception]: Executing test client: ERR unknown command.
"""


def test_the_output_of_the_tcl_suite() -> None:
    log = tcl.read_log(TCL_LOG)
    assert log.passed == ["one thing", "7 (seven) things", "one thing"]
    assert log.failed == {"another": "Expected 'x' to be equal to 'y' (context: type eval)"}
    assert log.broken == "Executing test client: ERR unknown command."
    assert log.hung is None


def test_a_test_that_hangs() -> None:
    log = tcl.read_log("[TIMEOUT]: clients state report follows.\nsock55aa => (IN PROGRESS) waits for ever\n")
    assert log.hung == "waits for ever"


REPORT = """\
<testsuites><testsuite name="pytest">
<testcase classname="tests.test_commands.TestIt" name="test_one[single]" file="tests/test_commands.py" time="0.1"/>
<testcase classname="tests.test_commands" name="test_alone" file="tests/test_commands.py" time="0.1"/>
<testcase classname="tests.test_commands" name="test_not_now" file="tests/test_commands.py"><skipped message="x"/></testcase>
<testcase classname="tests.test_commands" name="test_bad" file="tests/test_commands.py">
<failure message="assert 1 == 2&#10; and so on">trace</failure></testcase>
<testcase classname="tests.test_commands" name="test_late" file="tests/test_commands.py" time="0.1"/>
<testcase classname="tests.test_commands" name="test_late" file="tests/test_commands.py">
<error message="cleaning">trace</error></testcase>
</testsuite></testsuites>
"""


def test_the_report_of_redis_py() -> None:
    results = redis_py.read_report(REPORT)
    passed = [Test("tests/test_commands.py", name) for name in ("TestIt::test_one[single]", "test_alone")]
    assert results.passed == Counter(passed)
    assert redis_py.node_id(passed[0]) == "tests/test_commands.py::TestIt::test_one[single]"
    assert {test.name: why for test, why in results.failed.items()} == {
        "test_bad": "assert 1 == 2 and so on",
        "test_late": "cleaning",
    }


TAIR_CASES = r"""[
{"name": "one", "command": ["set k \"a b\"", "get k"], "result": ["OK", "a b"], "since": "1.0.0"},
{"name": "bytes", "command": ["set k \\xff\\n"], "command_binary": true, "result": ["OK"], "since": "7.0.0",
 "tags": "standalone"},
{"name": "set", "command": ["smembers s"], "result": [["b", "a"]], "sort_result": true, "since": "1.0.0"},
{"name": "newer", "command": ["x"], "result": [1], "since": "7.2.0"},
{"name": "elsewhere", "command": ["x"], "result": [1], "since": "1.0.0", "tags": "cluster"},
{"name": "skipped", "command": ["x"], "result": [1], "since": "1.0.0", "skipped": "x"}
]"""


def test_the_file_of_tairs_suite() -> None:
    first, second, third = tair.read_cases(TAIR_CASES)
    assert first == tair.Case("one", [[b"set", b"k", b"a b"], [b"get", b"k"]], ["OK", "a b"], False)
    assert second.commands == [[b"set", b"k", b"\xff\n"]]
    assert third.any_order
    assert tair.in_order(["b", "a"]) == ["a", "b"]
    assert tair.in_order([["2", "1"], ["0"]]) == [["1", "2"], ["0"]]


def test_tairs_suite_against_a_server(kvorum_server: KvorumServer, tmp_path: Path) -> None:
    cases = json.loads(TAIR_CASES)[:2]
    cases.append(dict(cases[0], name="wrong reply", result=["OK", "something else"]))
    cases.append(dict(cases[0], name="error", command=["set k", "get k"]))
    (tmp_path / "cts.json").write_text(json.dumps(cases), encoding="utf-8")
    results = tair.run(tmp_path, lambda: nullcontext(kvorum_server))
    assert results.passed == Counter([Test("cts", "one"), Test("cts", "bytes")])
    assert results.failed[Test("cts", "wrong reply")] == "expected 'something else', got 'a b'"
    assert "wrong number of arguments" in results.failed[Test("cts", "error")]


def test_the_page() -> None:
    needs_later, skipped = later(TWICE), [Line(OTHER, "takes minutes")]
    judgement = judge(BASELINE, Counter({ONE: 1, TWICE: 1}), needs_later, skipped)
    page = report.page([report.Section("A suite", judgement, needs_later, skipped)], {"kvorum": "1.2.3"})
    assert "**2 of 4** (50.0 %)" in page
    assert "| unit/b | 2 | 1 | 50.0 % | 1 |  |" in page
    assert "Needs later: streams (1)." in page
    assert "Skipped: takes minutes (1)." in page
    assert "kvorum 1.2.3" in page


def test_what_a_program_started_ends_with_it(tmp_path: Path) -> None:
    sleeper = "import time; time.sleep(600)"
    starter = f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {sleeper!r}]).pid, flush=True)"
    reading, writing = os.pipe()
    with open(reading, encoding="ascii") as inherited:
        with open(writing, "w", encoding="ascii") as output:
            assert running.run_group([sys.executable, "-c", starter], tmp_path, {}, output, 30)
        # The end comes when nobody is left who could write.
        assert inherited.read().strip().isdigit()


def test_a_program_that_does_not_end_is_ended(tmp_path: Path) -> None:
    with (tmp_path / "output").open("w", encoding="utf-8") as stream:
        assert not running.run_group([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path, {}, stream, 0.2)


def test_without_checkouts_everything_is_left_out() -> None:
    command = [sys.executable, str(running.ROOT / "tools" / "judge.py")]
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_SUITE")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0
    for variable in ("REDIS_SUITE", "REDIS_PY_SUITE", "TAIR_SUITE"):
        assert f"{variable} does not name a checkout" in done.stderr
