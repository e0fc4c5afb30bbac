import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def absolute_python_path(monkeypatch, request):
    """These tests start processes in other folders, where a PYTHONPATH such as `src` would mean nothing."""
    if paths := os.environ.get("PYTHONPATH"):
        start = request.config.invocation_params.dir
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(str(start / path) for path in paths.split(os.pathsep)))


@pytest.fixture
def python(tmp_path):
    """Runs the interpreter in an empty folder and gives back the finished process; `env` adds variables."""

    def run(*args, env=None):
        return subprocess.run(
            [sys.executable, *map(str, args)],
            cwd=tmp_path,
            env=os.environ | (env or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


@pytest.fixture
def opentrn(python):
    """Runs one command of opentrn."""
    return lambda *args, **options: python("-m", "opentrn", *args, **options)


@pytest.fixture
def script(tmp_path):
    """Writes a script into a folder of its own and gives back its path."""

    def write(text, name="script.py"):
        path = tmp_path / "scripts" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    return write


@pytest.fixture
def other_nki(tmp_path):
    """Variables under which a package nki that is not ours is installed."""
    package = tmp_path / "elsewhere" / "nki"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("VENDOR = 'other'\n")
    (package / "language.py").write_text("VENDOR = 'other'\n")
    return path_variables(package.parent)


def path_variables(folder: Path) -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))}
