"""Sets up a source tree for work: environment, pinned packages and compiled modules, each only if something changed.

The Makefile calls it with the Python of the machine, so only the standard library is used, and anything that is
missing ends in one line that says what to do.

    python tools/develop.py [build | dev | bench | fuzz] [--no-build]

The word names a file of ``requirements/``; ``dev`` with a build also brings the programs and libraries that tests talk
to. Stamps hold a digest of what a step was made from: the environment's in ``.venv``, the build's in ``build``, that of
the downloads in ``.cache``; so a call that has nothing to do takes a fraction of a second.
"""

import sys

if sys.version_info < (3, 11):
    sys.exit(
        "kvorum needs Python 3.11 or newer, this is %d.%d; name another one: make PYTHON=..." % sys.version_info[:2]
    )

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sysconfig
from collections.abc import Iterable, Sequence
from pathlib import Path

from debian_packages import Cache, UnavailableError

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".venv"
PYTHON = ENVIRONMENT / "bin" / "python"
BUILD_STAMP = ROOT / "build" / "stamp"
PEERS_STAMP = ROOT / ".cache" / "stamp"
COMPILED_SUFFIXES = {".py", ".pyx", ".pxd"}


def main(arguments: Sequence[str]) -> None:
    """Set up what the arguments ask for."""
    names = [argument for argument in arguments if not argument.startswith("-")] or ["build"]
    os.chdir(ROOT)
    Path("build").mkdir(exist_ok=True)
    with open("build/lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        make_environment()
        for name in names:
            install_requirements(name)
        install_package()
        if "--no-build" not in arguments:
            build()
            if "dev" in names:
                bring_peers()


def make_environment() -> None:
    """A virtual environment in ``.venv`` with a working pip; made anew if the tree or its Python has moved."""
    stamp = ENVIRONMENT / "kvorum-place"
    place = f"{ROOT}\n{sys.version}"
    usable = PYTHON.exists() and quiet([str(PYTHON), "-m", "pip", "--version"])
    if usable and (not stamp.exists() or stamp.read_text(encoding="utf-8") == place):
        stamp.write_text(place, encoding="utf-8")
        return
    say("making .venv")
    if ENVIRONMENT.exists():
        shutil.rmtree(ENVIRONMENT)
    if importlib.util.find_spec("venv") is None:
        sys.exit(
            "kvorum: this Python has no module venv; install it (on Debian and Ubuntu: apt-get install python3-venv)"
        )
    if importlib.util.find_spec("ensurepip") is not None and quiet([sys.executable, "-m", "venv", str(ENVIRONMENT)]):
        stamp.write_text(place, encoding="utf-8")
        return
    # Debian splits ensurepip off; then pip comes from the machine's own, or unpacked from Debian's package.
    run([sys.executable, "-m", "venv", "--clear", "--without-pip", str(ENVIRONMENT)], "cannot make .venv")
    if not (quiet([sys.executable, "-m", "pip", "--python", str(PYTHON), "install", "-q", "pip"]) or pip_from_debian()):
        shutil.rmtree(ENVIRONMENT)
        sys.exit(
            "kvorum: this Python has neither ensurepip nor pip; install one of them"
            " (on Debian and Ubuntu: apt-get install python3-venv)"
        )
    stamp.write_text(place, encoding="utf-8")


def pip_from_debian() -> bool:
    """Install pip into the environment from the wheel in Debian's package of it."""
    try:
        folder = Cache().bring("pip").folder
    except UnavailableError:
        return False
    wheel = next(folder.glob("usr/share/python-wheels/pip-*.whl"), None)
    return wheel is not None and quiet([str(PYTHON), str(wheel / "pip"), "install", "-q", "--no-index", str(wheel)])


def install_requirements(name: str) -> None:
    """Install the pinned packages of one requirements file, which may include others with ``-r``."""
    source = ROOT / "requirements" / f"{name}.txt"
    stamp = ENVIRONMENT / f"kvorum-{name}"
    wanted = digest([*sorted(source.parent.glob("*.txt"))], sys.version)
    if not is_current(stamp, wanted):
        say(f"installing requirements/{name}.txt")
        run(
            [str(PYTHON), "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", str(source)],
            "cannot install the pinned packages",
        )
        stamp.write_text(wanted, encoding="utf-8")


def install_package() -> None:
    """Install kvorum itself in editable form; its modules are compiled in place by ``build``."""
    stamp = ENVIRONMENT / "kvorum-package"
    wanted = digest([ROOT / "pyproject.toml", ROOT / "src" / "kvorum" / "__init__.py"], sys.version)
    if not is_current(stamp, wanted) or not (ENVIRONMENT / "bin" / "kvorum").exists():
        say("installing kvorum in editable form")
        command = [str(PYTHON), "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-build-isolation"]
        # No prefix matches: pip would compile everything in a folder of its own, and then again in place.
        run([*command, "--no-deps", "-e", "."], "cannot install kvorum into .venv", KVORUM_BUILD_ONLY="")
        stamp.write_text(wanted, encoding="utf-8")


def build() -> None:
    """Compile in place what changed, and remove extensions whose source is gone."""
    sources = [ROOT / "setup.py", *compiled_sources()]
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    extensions = sorted(ROOT.glob(f"src/**/*{suffix}"))
    wanted = times([*sources, *extensions])
    if is_current(BUILD_STAMP, wanted):
        return
    for extension in extensions:
        stem = extension.with_name(extension.name.removesuffix(suffix))
        if not stem.with_suffix(".py").exists() and not stem.with_suffix(".pyx").exists():
            extension.unlink()
    say("compiling")
    run([str(PYTHON), "setup.py", "-q", "build_ext", "--inplace"], None)
    BUILD_STAMP.write_text(times([*sources, *ROOT.glob(f"src/**/*{suffix}")]), encoding="utf-8")


def bring_peers() -> None:
    """Download what tests talk to, which would take too long within a test. What cannot be had is told, and tried again
    the next time; tests that find it nowhere else are skipped."""
    tools = {
        ROOT / "tools" / "debian_packages.py": ["redis"],
        ROOT / "tools" / "client_libraries.py": ["javascript", "hiredis"],
    }
    wanted = digest(tools, sys.version)
    if is_current(PEERS_STAMP, wanted):
        return
    complete = True
    for tool, names in tools.items():
        for name in names:
            # The environment's Python, since hiredis is compiled for the one that runs the tests.
            command = [str(PYTHON), str(tool), name]
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                complete = False
                words = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
                say(f"not brought: {words[-1]}")
    if complete:
        PEERS_STAMP.write_text(wanted, encoding="utf-8")


def compiled_sources() -> list[Path]:
    """Every file that may decide what is compiled and how."""
    return sorted(path for path in ROOT.glob("src/**/*") if path.suffix in COMPILED_SUFFIXES)


def digest(files: Iterable[Path], *words: str) -> str:
    """A digest of the files' contents and the words."""
    whole = hashlib.sha256("\n".join(words).encode())
    for path in files:
        whole.update(path.read_bytes())
    return whole.hexdigest()


def times(files: Iterable[Path]) -> str:
    """A digest of the files' names, sizes and times of change; setuptools decides by times too."""
    whole = hashlib.sha256(sys.version.encode())
    for path in sorted(files):
        status = path.stat()
        whole.update(f"{path} {status.st_size} {status.st_mtime_ns}\n".encode())
    return whole.hexdigest()


def is_current(stamp: Path, wanted: str) -> bool:
    """Whether the stamp was made from the same."""
    return stamp.exists() and stamp.read_text(encoding="utf-8") == wanted


def quiet(command: Sequence[str]) -> bool:
    """Whether the command succeeds; its output is dropped."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return done.returncode == 0


def run(command: Sequence[str], failure: str | None, **environment: str) -> None:
    """Run the command; end with one more line if it fails (none if it explains itself)."""
    status = subprocess.run(
        command, stdin=subprocess.DEVNULL, env={**os.environ, **environment}, check=False
    ).returncode
    if status != 0:
        if failure is not None:
            print(f"kvorum: {failure}; see the lines above", file=sys.stderr)
        sys.exit(1)


def say(text: str) -> None:
    """Tell the user what is going on."""
    print(f"kvorum: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
