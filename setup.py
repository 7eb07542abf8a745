"""Build of the compiled modules; everything else stands in pyproject.toml."""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

SOURCE = Path("src")
# Ordinary typed modules that are compiled unchanged, besides those that have a .pxd sidecar.
COMPILED_PACKAGES = ("commands",)


def modules_to_compile() -> list[Path]:
    """Every .pyx, and every .py that has a .pxd sidecar or stands in a compiled package."""
    found: dict[str, Path] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        package = path.parent.relative_to(SOURCE / "kvorum").as_posix()
        if path.stem != "__init__" and (path.with_suffix(".pxd").exists() or package in COMPILED_PACKAGES):
            found[str(path.with_suffix(""))] = path
    for path in sorted(SOURCE.rglob("*.pyx")):
        found[str(path.with_suffix(""))] = path
    only = [prefix for prefix in os.environ.get("KVORUM_BUILD_ONLY", "").split(",") if prefix]
    return [
        path
        for stem, path in found.items()
        if not only or any(stem.startswith(str(SOURCE / "kvorum" / prefix)) for prefix in only)
    ]


def extension(path: Path) -> Extension:
    name = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
    return Extension(name, [str(path)], extra_compile_args=["-O2", "-fno-strict-aliasing", "-fwrapv"])


setup(
    ext_modules=cythonize(
        [extension(path) for path in modules_to_compile()],
        build_dir="build/cython",
        nthreads=2,
        include_path=["src"],
        compiler_directives={"language_level": 3, "binding": False, "boundscheck": False, "wraparound": True, "embedsignature": False},
    ),
)
