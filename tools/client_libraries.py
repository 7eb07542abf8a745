"""Client libraries that tests talk to the server with and that do not belong into the environment of the project.

Each is a pinned set of packages in a folder of its own below ``.cache/clients``: those of Node.js, brought by npm without
running any script of theirs, and hiredis, the compiled parser of redis-py, which redis-py would use everywhere if it stood
in ``.venv``. Whatever registry npm and pip are configured for is used.

Calls may run side by side: one holds a lock, the others wait and find the work done. A folder is renamed into place only
when it is complete. Only the standard library is used.

    python tools/client_libraries.py javascript     # prints the folder for NODE_PATH; hiredis: that for PYTHONPATH
"""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Tests that ask for a library may take a minute, downloading included.
TIMEOUT_S = 50
OLDEST_NODE = 18


class UnavailableError(Exception):
    """The libraries cannot be had on this machine; the text is one line for the user."""


@dataclass(frozen=True, slots=True)
class Library:
    """Pinned packages, what puts them into a folder, and where in it they are then."""

    packages: tuple[str, ...]
    install: Callable[[tuple[str, ...], Path], None]
    place: str


def install_with_npm(packages: tuple[str, ...], folder: Path) -> None:
    """Packages of Node.js, into ``folder/node_modules``."""
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            raise UnavailableError(f"there is no {tool} here")
    version = run_tool(["node", "--version"], "node does not run").strip()
    if int(version.removeprefix("v").split(".")[0]) < OLDEST_NODE:
        raise UnavailableError(f"these libraries need Node.js {OLDEST_NODE} or newer, this is {version}")
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", "--fetch-retries=1"]
    run_tool(["npm", "install", *options, "--prefix", str(folder), *packages], "npm cannot install them")


def install_with_pip(packages: tuple[str, ...], folder: Path) -> None:
    """Packages for the Python that runs this, into ``folder``; ready-made ones only."""
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "--retries=1"]
    pip = [sys.executable, "-m", "pip", "install", *options]
    run_tool([*pip, "--target", str(folder / "site-packages"), *packages], "pip cannot install them")


LIBRARIES = {
    "javascript": Library(("ioredis@5.11.1", "redis@5.12.1"), install_with_npm, "node_modules"),
    "hiredis": Library(("hiredis==3.5.0",), install_with_pip, "site-packages"),
}


def bring(name: str, cache: Path = ROOT / ".cache" / "clients") -> Path:
    """The folder with the library's packages, installed first if it is not there yet."""
    library = LIBRARIES[name]
    # Packages with compiled parts are for one version of Python.
    mark = json.dumps([*library.packages, sys.version])
    folder = cache / name
    if not is_complete(folder, mark):
        try:
            cache.mkdir(parents=True, exist_ok=True)
            with open(cache / "lock", "w", encoding="ascii") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not is_complete(folder, mark):
                    make(library, folder, mark)
        except OSError as error:
            raise UnavailableError(f"{name}: cannot write below {cache}: {error}") from error
        except UnavailableError as error:
            raise UnavailableError(f"{name} ({', '.join(library.packages)}): {error}") from error
    return folder / library.place


def is_complete(folder: Path, mark: str) -> bool:
    """Whether the folder was made from the same packages to the end."""
    try:
        return (folder / "complete.json").read_text(encoding="utf-8") == mark
    except OSError:
        return False


def make(library: Library, folder: Path, mark: str) -> None:
    """Install into a folder beside it, then put it into its place."""
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
        fresh = Path(scratch) / "fresh"
        fresh.mkdir()
        library.install(library.packages, fresh)
        (fresh / "complete.json").write_text(mark, encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        fresh.rename(folder)


def run_tool(command: list[str], failure: str) -> str:
    """What the command prints; any trouble becomes an UnavailableError with the tool's own last words."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnavailableError(f"{failure}: {error}") from error
    if done.returncode != 0:
        words = [line for line in (done.stdout + done.stderr).splitlines() if "error" in line.lower()]
        raise UnavailableError(f"{failure} ({words[0].strip() if words else f'exit status {done.returncode}'})")
    return done.stdout


def main(arguments: list[str]) -> int:
    """Bring the named libraries and print the folder of each."""
    if not arguments or any(name not in LIBRARIES for name in arguments):
        print(f"usage: client_libraries.py NAME...  (one of: {', '.join(LIBRARIES)})", file=sys.stderr)
        return 2
    for name in arguments:
        try:
            print(bring(name))
        except UnavailableError as error:
            print(error, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
