"""Build of the compiled modules; everything else stands in pyproject.toml.

Compiled are every ``.pyx``, every ``.py`` with a ``.pxd`` sidecar, and every module of ``COMPILED_PACKAGES``. Cython
and the C compiler each run in parallel and only on what changed: Cython compares time stamps with what a module
cimports, setuptools compares the extension with the C file. Trouble ends the build; nothing falls back to slower code.

Rejected: one extension for the whole package, which starts a little faster, but a change of one line then compiles all.
"""

from __future__ import annotations

import os
import select
import shlex
import shutil
import sysconfig
from pathlib import Path
from typing import Any

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

SOURCE = Path("src")
PACKAGE = SOURCE / "kvorum"
# Ordinary typed modules that are compiled unchanged although they have no .pxd sidecar.
COMPILED_PACKAGES = ("commands",)
# Programs of their own (`python -m`), which an extension module cannot be.
PROGRAMS = ("commands/document",)
# Where there is no epoll their plain twins serve.
NEED_EPOLL = ("net/connection", "net/reactor", "net/watched")
# No debug information: it doubles the time of the C compiler. Symbols for profilers stay.
COMPILE_FLAGS = ["-O2", "-g0", "-fno-strict-aliasing", "-fwrapv", "-fvisibility=hidden", "-Wno-unused-function"]
DIRECTIVES = {
    "language_level": 3,
    "binding": False,
    "boundscheck": False,
    "wraparound": True,
    "embedsignature": False,
    "annotation_typing": False,  # types come from the .pxd sidecars alone
}


def modules_to_compile() -> list[Path]:
    """Sources of the compiled modules; ``KVORUM_BUILD_ONLY`` narrows them to prefixes below the package."""
    found: dict[str, Path] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        package = path.parent.relative_to(PACKAGE).as_posix()
        compiled = path.with_suffix(".pxd").exists() or package in COMPILED_PACKAGES
        if compiled and path.stem != "__init__" and module_name(path) not in PROGRAMS:
            found[module_name(path)] = path
    for path in sorted(PACKAGE.rglob("*.pyx")):
        found[module_name(path)] = path
    if not hasattr(select, "epoll"):
        found = {name: path for name, path in found.items() if name not in NEED_EPOLL}
    only = os.environ.get("KVORUM_BUILD_ONLY")
    if only is not None:
        prefixes = tuple(prefix for prefix in only.split(",") if prefix)
        found = {name: path for name, path in found.items() if name.startswith(prefixes)}
    return list(found.values())


def module_name(path: Path) -> str:
    """Such as ``keyspace/table``."""
    return path.relative_to(PACKAGE).with_suffix("").as_posix()


def extension(path: Path) -> Extension:
    name = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
    return Extension(name, [path.as_posix()], extra_compile_args=COMPILE_FLAGS)


class BuildExtensions(build_ext):
    """``build_ext`` that checks its tools first, and runs Cython over all modules at once before the C compiler."""

    parallel: int | None

    def finalize_options(self) -> None:
        super().finalize_options()
        self.workers = min(os.cpu_count() or 1, 8)
        if self.parallel is None:
            self.parallel = self.workers

    def run(self) -> None:
        if self.extensions:
            check_tools()
            self.translate()
        super().run()

    def translate(self) -> None:
        """From Cython to C, keeping setuptools' own extension objects."""
        from Cython.Build import cythonize
        from Cython.Compiler import Options
        from Cython.Compiler.Errors import CompileError

        Options.emit_code_comments = False
        try:
            translated: list[Any] = cythonize(
                [extension(Path(one.sources[0])) for one in self.extensions],
                build_dir="build/cython",
                nthreads=self.workers if len(self.extensions) > 1 else 0,
                include_path=[str(SOURCE)],
                compiler_directives=DIRECTIVES,
                quiet=self.verbose <= 0,
            )
        except CompileError as error:
            raise SystemExit(f"kvorum: cannot build: Cython found errors in {error}; they are shown above") from error
        by_name = {one.name: one for one in translated}
        for one in self.extensions:
            made = by_name[one.name]
            one.sources, one.depends, one.include_dirs = made.sources, made.depends, made.include_dirs


def check_tools() -> None:
    """End with one clear line where the compiler or Python's headers are missing."""
    header = Path(sysconfig.get_paths()["include"], "Python.h")
    if not header.exists():
        raise SystemExit(
            f"kvorum: cannot build: {header} is missing; install the headers of this Python"
            " (on Debian and Ubuntu: apt-get install python3-dev)"
        )
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")[0]
    if shutil.which(compiler) is None:
        raise SystemExit(
            f"kvorum: cannot build: there is no C compiler ({compiler}); install one"
            " (on Debian and Ubuntu: apt-get install gcc libc6-dev) or name it in CC"
        )


if __name__ == "__main__":
    setup(ext_modules=[extension(path) for path in modules_to_compile()], cmdclass={"build_ext": BuildExtensions})
