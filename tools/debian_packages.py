"""Programs from Debian's packages, unpacked into a cache of the project's own and never installed.

Tests and benchmarks need real peers: redis-server, later a balancer, a browser. Installing their packages would start
services on the very ports that the project uses, and needs root. So the packages are downloaded with ``apt-get
download`` and unpacked with ``dpkg -x`` below ``.cache/debian/NAME``; apt itself resolves which libraries the machine
lacks. For each program a small script in ``.cache/debian/NAME/bin`` sets the library path and ``exec``s the real one,
so that the process id of the script is the process id of the program.

Calls may run side by side: one holds a lock, the others wait and find the work done. A folder is renamed into place
only when it is complete. Only the standard library is used, so that it runs before anything is installed.

    python tools/debian_packages.py redis       # prints the folder with the programs
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
APT_TIMEOUT_S = 300
# Raised when the layout of the cache changes, so that older folders are made anew.
LAYOUT = 1


class UnavailableError(Exception):
    """The programs cannot be had on this machine; the text is one line for the user."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """Packages that are unpacked together, and the programs in them that get a starter script."""

    packages: tuple[str, ...]
    programs: tuple[str, ...]


BUNDLES = {
    "redis": Bundle(
        packages=("redis-server", "redis-tools"),
        programs=(
            "usr/bin/redis-server",
            "usr/bin/redis-cli",
            "usr/bin/redis-benchmark",
            "usr/bin/redis-check-aof",
            "usr/bin/redis-check-rdb",
        ),
    ),
    "etcd": Bundle(packages=("etcd-server", "etcd-client"), programs=("usr/bin/etcd", "usr/bin/etcdctl")),
    "tcl": Bundle(packages=("tcl8.6", "libtcl8.6"), programs=("usr/bin/tclsh8.6",)),
    "strace": Bundle(packages=("strace",), programs=("usr/bin/strace",)),
    "pip": Bundle(packages=("python3-pip-whl",), programs=()),
}


@dataclass(frozen=True, slots=True)
class Unpacked:
    """A complete bundle on disk."""

    folder: Path
    versions: dict[str, str]

    @property
    def programs(self) -> Path:
        """The folder with one starter script per program."""
        return self.folder / "bin"

    def program(self, name: str) -> Path:
        """The starter script of one program."""
        return self.programs / name


class Cache:
    """The unpacked bundles below one folder, by default ``.cache/debian`` of the source tree."""

    def __init__(self, folder: Path = ROOT / ".cache" / "debian") -> None:
        self.folder = folder

    def bring(self, name: str) -> Unpacked:
        """The bundle of that name, downloaded and unpacked first if it is not there yet."""
        bundle = BUNDLES[name]
        ready = self._complete(name, bundle)
        if ready is not None:
            return ready
        for tool in ("apt-get", "dpkg"):
            if shutil.which(tool) is None:
                raise UnavailableError(f"{name}: its programs come from Debian's packages, and there is no {tool} here")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with open(self.folder / "lock", "w", encoding="ascii") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                ready = self._complete(name, bundle)
                return ready if ready is not None else self._make(name, bundle)
        except OSError as error:
            raise UnavailableError(f"{name}: cannot write below {self.folder}: {error}") from error

    def _complete(self, name: str, bundle: Bundle) -> Unpacked | None:
        folder = self.folder / name
        try:
            mark = json.loads((folder / "complete.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        if mark.get("layout") != LAYOUT or mark.get("wanted") != [*bundle.packages, *bundle.programs]:
            return None
        return Unpacked(folder, mark["versions"])

    def _make(self, name: str, bundle: Bundle) -> Unpacked:
        with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=self.folder) as scratch:
            archives = self._download(name, bundle, Path(scratch))
            unpacked = Path(scratch) / "unpacked"
            unpacked.mkdir()
            versions = {}
            for archive in archives:
                run_tool(["dpkg", "-x", str(archive), str(unpacked)], f"{name}: cannot unpack {archive.name}")
                package, version = package_of_archive(archive.name)
                versions[package] = version
            write_starters(unpacked, bundle.programs)
            mark = {"layout": LAYOUT, "wanted": [*bundle.packages, *bundle.programs], "versions": versions}
            (unpacked / "complete.json").write_text(json.dumps(mark, indent=1), encoding="utf-8")
            folder = self.folder / name
            if folder.exists():
                shutil.rmtree(folder)
            unpacked.rename(folder)
        return Unpacked(folder, versions)

    def _download(self, name: str, bundle: Bundle, scratch: Path) -> list[Path]:
        """Download the packages and those they need that are not installed, first with the machine's own lists of
        packages; where these are missing or out of date, with lists fetched for this cache."""
        home = self.folder / "apt"
        for folder in ("lists/partial", "cache/archives/partial"):
            (home / folder).mkdir(parents=True, exist_ok=True)
        # Caches of our own work without being root; besides, apt does not list what lies in the machine's own cache.
        cache = ["-o", f"Dir::Cache={home / 'cache'}"]
        lists = ["-o", f"Dir::State::lists={home / 'lists'}"]
        try:
            return download(bundle.packages, scratch / "system", cache)
        except UnavailableError:
            run_tool(["apt-get", *cache, *lists, "-qq", "update"], f"{name}: cannot bring Debian's list of packages")
        try:
            return download(bundle.packages, scratch / "private", [*cache, *lists])
        except UnavailableError as error:
            raise UnavailableError(f"{name}: {error}") from error


def download(packages: Sequence[str], folder: Path, apt_options: list[str]) -> list[Path]:
    """Download the packages with what they depend on and the machine lacks; returns the archives."""
    listing = run_tool(
        [
            "apt-get",
            *apt_options,
            "-qq",
            "--no-install-recommends",
            "--reinstall",
            "--print-uris",
            "install",
            *packages,
        ],
        f"Debian's packages {', '.join(packages)} are not known here",
    )
    wanted = [package_of_archive(archive) for archive in re.findall(r"^'[^']+' (\S+\.deb) ", listing, re.MULTILINE)]
    if not {package for package, _ in wanted}.issuperset(packages):
        raise UnavailableError(f"apt-get does not say where {', '.join(packages)} can be downloaded")
    folder.mkdir()
    run_tool(
        # Without the option, root's apt-get drops its rights and then cannot write here.
        ["apt-get", *apt_options, "-qq", "-o", "APT::Sandbox::User=root", "download"]
        + [f"{package}={version}" for package, version in wanted],
        "the download of Debian's packages failed",
        folder,
    )
    return sorted(folder.glob("*.deb"))


def package_of_archive(archive: str) -> tuple[str, str]:
    """Name and version out of an archive's file name, ``name_version_arch.deb`` with the version URL-quoted."""
    package, version, _ = archive.split("_")
    return package, urllib.parse.unquote(version)


def write_starters(root: Path, programs: Sequence[str]) -> None:
    """One script per program in ``bin``, which finds the unpacked libraries relative to itself."""
    libraries = sorted({path.parent.relative_to(root).as_posix() for path in root.rglob("*.so*")})
    search = ":".join(f"$root/{folder}" for folder in libraries)
    (root / "bin").mkdir(exist_ok=True)
    for program in programs:
        if not (root / program).exists():
            raise UnavailableError(f"the unpacked packages have no {program}")
        script = root / "bin" / Path(program).name
        script.write_text(
            "#!/bin/sh\n"
            'root=$(cd "$(dirname "$0")/.." && pwd) || exit 1\n'
            f'export LD_LIBRARY_PATH="{search}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}"\n'
            f'exec "$root/{program}" "$@"\n',
            encoding="utf-8",
        )
        script.chmod(0o755)


def run_tool(command: Sequence[str], failure: str, folder: Path | None = None) -> str:
    """What the command prints; any trouble becomes an UnavailableError with the tool's own last words."""
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive", LC_ALL="C")
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=APT_TIMEOUT_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnavailableError(f"{failure}: {error}") from error
    if done.returncode != 0:
        words = [line for line in (done.stderr + done.stdout).splitlines() if line.startswith("E:")]
        raise UnavailableError(f"{failure} ({words[-1] if words else f'exit status {done.returncode}'})")
    return done.stdout


def main(arguments: Sequence[str]) -> int:
    """Bring the named bundles and print the folder of each one's programs."""
    if not arguments or any(name not in BUNDLES for name in arguments):
        print(f"usage: debian_packages.py NAME...  (one of: {', '.join(BUNDLES)})", file=sys.stderr)
        return 2
    for name in arguments:
        try:
            print(Cache().bring(name).programs)
        except UnavailableError as error:
            print(error, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
