"""Pages that show what a command prints: the block under ``<!-- $ opentrn ... -->`` is that command's output."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

from opentrn.errors import KernelError
from opentrn.profile.files import write_whole

__all__ = ["commands", "refresh"]

_BLOCK = re.compile(
    r"(?P<head><!-- \$ opentrn (?P<command>[^\n]+?) -->\n+```text\n).*?(?P<tail>^```$)", re.DOTALL | re.MULTILINE
)


def commands(text: str) -> list[str]:
    """The commands of a page, in order, without the word opentrn."""
    return [match["command"] for match in _BLOCK.finditer(text)]


def refresh(folder: Path, *, check: bool = False) -> list[str]:
    """Run the commands of every page in `folder` and put their outputs in place (or, with `check`, only compare).

    Commands run in the folder above. Gives back the names of the pages whose outputs had changed; raises KernelError
    when a command fails.
    """
    changed = []
    for page in sorted(folder.glob("*.md")):
        old = page.read_text(encoding="utf-8")
        new = _BLOCK.sub(lambda match: match["head"] + _output(match["command"], folder.parent) + match["tail"], old)
        if new != old:
            changed.append(page.name)
            if not check:
                write_whole(page, new)
    return changed


def _output(command: str, folder: Path) -> str:
    words = [sys.executable, "-m", "opentrn", *shlex.split(command)]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise KernelError(f"opentrn {command} failed", got=done.stderr.strip()[-500:], expected="exit code 0")
    return done.stdout.rstrip("\n") + "\n"
