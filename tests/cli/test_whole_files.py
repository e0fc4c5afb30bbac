"""Whatever ends a command early, its files are as they were before, or whole."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from opentrn.errors import FileError
from opentrn.profile.files import write_whole

KERNEL = """
import nki
import nki.isa as nisa
import nki.language as nl
import numpy as np


@nki.jit
def kernel(x):
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=out, src=x)
    return out


CHECK_INPUTS = {"kernel": "x=float32[128,64]"}
if __name__ == "__main__":
    kernel(np.ones((128, 64), np.float32))
"""
PAGE = "as it was before\n"
LIMITED = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)); "
"""No file may grow beyond 100 bytes: writing more fails as on a full disk (EFBIG; Python ignores SIGXFSZ)."""
RUN = "import sys; from opentrn.cli import main; sys.exit(main(sys.argv[1:]))"

COMMANDS = {
    "check.json": ["check", "FILE", "--format", "json", "--output", "check.json"],
    "check.sarif": ["check", "FILE", "--format", "sarif", "--output", "check.sarif"],
    "profile.json": ["profile", "FILE", "--json", "profile.json"],
    "profile.html": ["profile", "FILE", "--html", "profile.html"],
    "profile.pftrace": ["profile", "FILE", "--perfetto", "profile.pftrace"],
    "profile.npz": ["profile", "FILE", "--columns", "profile.npz"],
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "kernel.py").write_text(KERNEL)
    return tmp_path


def start(folder, name, prefix=""):
    words = [word.replace("FILE", "kernel.py") for word in COMMANDS[name]]
    return subprocess.Popen(
        [sys.executable, "-c", prefix + RUN, *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def left(folder):
    return sorted(path.name for path in folder.iterdir() if path.name not in ("kernel.py", "__pycache__"))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk(folder, name):
    (folder / name).write_text(PAGE)
    process = start(folder, name, LIMITED + "sys = __import__('sys'); sys.dont_write_bytecode = True; ")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1, errors
    assert f"cannot write {folder / name}" in errors and "Traceback" not in errors
    assert (folder / name).read_text() == PAGE and left(folder) == [name]


HELD = """
from pathlib import Path
real, renamed = Path.write_text, Path.replace
def held(self, *args, **kwargs):
    real(self, *args, **kwargs)
    print("written", flush=True)
    import time
    time.sleep(60)
Path.write_text = held
"""


@pytest.mark.parametrize("how", ["SIGKILL", "SIGINT", "SIGTERM"])
def test_a_command_that_is_ended_before_its_file_is_in_place(folder, how):
    name = "check.json"
    (folder / name).write_text(PAGE)
    process = start(folder, name, HELD)
    assert process.stdout is not None and process.stdout.readline() == "written\n"
    process.send_signal(getattr(signal, how))
    _, errors = process.communicate(timeout=60)
    assert process.returncode == (130 if how == "SIGINT" else -getattr(signal, how)), errors
    assert (folder / name).read_text() == PAGE
    if how == "SIGINT":  # what is killed outright leaves a file under another name
        assert left(folder) == [name]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has it")
def test_a_device_that_is_full_is_an_error_of_the_command(folder):
    words = [sys.executable, "-m", "opentrn", "check", "kernel.py"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(words, cwd=folder, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120)
    assert done.returncode == 1 and "No space left on device" in done.stderr and "Traceback" not in done.stderr


def test_pages_of_the_manual_are_written_whole(tmp_path, monkeypatch):
    from opentrn import docs

    def full(self, text, **_):
        self.write_bytes(text.encode()[: len(text) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(docs, "_pages", lambda: {"isa/index.md": "new"})
    for path, action in (
        (tmp_path / "isa" / "index.md", lambda: docs.write(tmp_path)),
        (tmp_path / "any.txt", lambda: write_whole(tmp_path / "any.txt", "new")),
    ):
        path.parent.mkdir(exist_ok=True)
        path.write_text(PAGE)
        with monkeypatch.context() as patch:
            patch.setattr(Path, "write_text", full)
            with pytest.raises(FileError, match="No space left"):
                action()
        assert path.read_text() == PAGE
        assert [each.name for each in path.parent.iterdir() if each.is_file() and each.name.startswith(".")] == []
