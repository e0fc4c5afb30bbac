"""The native core with the address and undefined-behaviour sanitizers: building it, and running Python on it.

``python -m tests.fuzz.sanitize --budget 600`` builds (into build/sanitized, again only what changed) and fuzzes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

__all__ = ["build", "fuzz", "why_not"]

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "build" / "sanitized"


@cache
def why_not() -> str:
    """Why there can be no sanitized build here; '' when there can."""
    compiler = os.environ.get("CXX", "c++")
    for tool in (compiler, "cmake"):
        if _tool(tool) is None:
            return f"no {tool}"
    try:
        import nanobind  # noqa: F401
    except ImportError:
        return "nanobind is not installed"
    trial = subprocess.run(
        [compiler, "-x", "c++", "-", "-fsanitize=address,undefined", "-o", os.devnull],
        input="int main() { return 0; }",
        text=True,
        capture_output=True,
        check=False,
    )
    if trial.returncode:
        return f"{compiler} has no sanitizers: {trial.stderr.splitlines()[-1] if trial.stderr else trial.returncode}"
    return "" if Path(_library("libasan.so")).is_absolute() else f"{compiler} has no libasan.so to preload"


def build() -> Path:
    """The sanitized extension module, up to date."""
    import nanobind

    cmake = _tool("cmake") or "cmake"
    generator = ["-G", "Ninja"] if _tool("ninja") else []
    options = ["-DOPENTRN_SANITIZE=ON", "-DCMAKE_BUILD_TYPE=None", "-DCMAKE_CXX_FLAGS=-O1 -g1"]
    places = [f"-Dnanobind_DIR={nanobind.cmake_dir()}", f"-DPython_EXECUTABLE={sys.executable}"]
    _run([cmake, *generator, "-S", str(ROOT / "native"), "-B", str(FOLDER), *options, *places])
    _run([cmake, "--build", str(FOLDER), "-j", "2"])
    return next(FOLDER.glob("_native*.so"))


def fuzz(
    module: Path, *arguments: str, timeout: float | None = None, shown: bool = False
) -> subprocess.CompletedProcess[str]:
    """``python -m tests.fuzz`` on the sanitized module; any report of a sanitizer ends it with an error.

    What it says is kept, or with `shown` printed as it comes.
    """
    environment = {
        **os.environ,
        "LD_PRELOAD": " ".join(_library(name) for name in ("libasan.so", "libubsan.so", "libstdc++.so")),
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0:exitcode=99",  # Python itself leaves much behind
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "tests.fuzz", "--native", str(module), *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=environment, text=True, capture_output=not shown, timeout=timeout, check=False
    )


def _tool(name: str) -> str | None:
    """A program on the path, or beside this Python."""
    return shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))


def _library(name: str) -> str:
    compiler = os.environ.get("CXX", "c++")
    return subprocess.run(
        [compiler, f"-print-file-name={name}"], text=True, capture_output=True, check=True
    ).stdout.strip()


def _run(command: list[str]) -> None:
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")


def main() -> None:
    if why_not():
        print(f"no sanitized build here: {why_not()}")
        return
    print("the native core with address and undefined-behaviour sanitizers:", flush=True)
    sys.exit(fuzz(build(), *sys.argv[1:], shown=True).returncode)


if __name__ == "__main__":
    main()
