"""Debian's programs, unpacked and never installed."""

from __future__ import annotations

import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from debian_packages import BUNDLES, LAYOUT, Bundle, Cache, UnavailableError, package_of_archive, write_starters

from kvorum.testing.redis_server import RedisPrograms


def test_a_version_is_read_from_the_archives_name() -> None:
    assert package_of_archive("redis-tools_5%3a7.0.15-1~deb12u10_amd64.deb") == ("redis-tools", "5:7.0.15-1~deb12u10")


def test_a_starter_runs_the_program_with_its_libraries_in_its_own_process(tmp_path: Path) -> None:
    root = tmp_path / "a folder"
    (root / "usr" / "bin").mkdir(parents=True)
    (root / "usr" / "lib" / "odd").mkdir(parents=True)
    (root / "usr" / "lib" / "odd" / "libx.so.1").touch()
    program = root / "usr" / "bin" / "tell"
    program.write_text('#!/bin/sh\necho "$$ $LD_LIBRARY_PATH $*"\n')
    program.chmod(0o755)
    write_starters(root, ["usr/bin/tell"])
    environment = {"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": "/elsewhere"}
    with subprocess.Popen(
        [root / "bin" / "tell", "a", "b c"], env=environment, stdout=subprocess.PIPE, text=True
    ) as run:
        printed, _ = run.communicate()
        assert printed == f"{run.pid} {root}/usr/lib/odd:/elsewhere a b c\n"


def test_a_package_without_the_program_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="have no usr/bin/nothing"):
        write_starters(tmp_path, ["usr/bin/nothing"])


def test_a_complete_bundle_is_used_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    bundle = BUNDLES["redis"]
    mark = {"layout": LAYOUT, "wanted": [*bundle.packages, *bundle.programs], "versions": {"redis-server": "1"}}
    (tmp_path / "redis").mkdir()
    (tmp_path / "redis" / "complete.json").write_text(json.dumps(mark))
    assert Cache(tmp_path).bring("redis").versions == {"redis-server": "1"}


def test_an_incomplete_bundle_cannot_be_completed_without_apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    (tmp_path / "redis").mkdir()
    (tmp_path / "redis" / "complete.json").write_text("{")
    with pytest.raises(UnavailableError, match="there is no apt-get here"):
        Cache(tmp_path).bring("redis")


def test_trouble_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("apt-get", "dpkg"):
        (tmp_path / name).write_text("#!/bin/sh\necho 'E: no network' >&2\nexit 100\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(UnavailableError) as caught:
        Cache(tmp_path / "cache").bring("redis")
    assert str(caught.value) == "redis: cannot bring Debian's list of packages (E: no network)"


def test_calls_side_by_side_do_the_work_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    scripts = {
        "apt-get": f"echo $* >> {tmp_path}/calls\n"
        "case $* in *--print-uris*) echo \"'http://x/hello_1.0_all.deb' hello_1.0_all.deb 10 SHA256:0\";;"
        " *) touch hello_1.0_all.deb;; esac\n",
        "dpkg": 'mkdir -p "$3/usr/bin" && touch "$3/usr/bin/hello"\n',
    }
    for name, text in scripts.items():
        (tmp_path / "bin" / name).write_text("#!/bin/sh\n" + text)
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setitem(BUNDLES, "hello", Bundle(("hello",), ("usr/bin/hello",)))
    with ThreadPoolExecutor(4) as pool:
        folders = {done.folder for done in pool.map(lambda _: Cache(tmp_path / "cache").bring("hello"), range(4))}
    assert folders == {tmp_path / "cache" / "hello"}
    assert (tmp_path / "cache" / "hello" / "bin" / "hello").exists()
    assert len((tmp_path / "calls").read_text().splitlines()) == 2


def test_the_real_programs_run(any_redis_programs: RedisPrograms) -> None:
    assert any_redis_programs.version.count(".") == 2
