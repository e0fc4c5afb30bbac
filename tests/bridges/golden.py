"""Messages compared with files; UPDATE_GOLDEN=1 writes them."""

import os
import re
from pathlib import Path

FOLDER = Path(__file__).parent / "golden"
HERE = str(Path(__file__).parent) + "/"


def assert_golden(name, text):
    path = FOLDER / name
    shown = re.sub(r"(kernels\.py):\d+", r"\1:LINE", text.replace(HERE, "")) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(shown)
    assert shown == path.read_text()
