"""The rooms import only what the table of ARCHITECTURE.md lets them."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TABLE = """
| room | owns | may import |
|---|---|---|
| `opentrn/errors.py`, `units.py` | errors | stdlib, numpy |
| `opentrn/numerics/` | numbers | above |
| `opentrn/isa/` | instructions | numerics |
| `opentrn/program/` | the list | isa |
| `opentrn/cli/` | commands | any |
| `native/` | C++ | - |
"""


def rooms_of(cell: str) -> list[str]:
    """Names of the rooms in a table's cell; `_native` is the module that the room `native/` builds."""
    names = (name.removeprefix("opentrn/").rstrip("/").removesuffix(".py") for name in re.findall(r"`([^`]+)`", cell))
    return ["_native" if name == "native" else name for name in names]


def read_table(text: str) -> dict[str, set[str]]:
    """Room -> every room it may import, directly or through another. A room that imports nothing is open to all."""
    may: dict[str, set[str]] = {}
    everyone, closed = set(), set()
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("| `") or len(cells) != 3:
            continue
        rooms, words = rooms_of(cells[0]), set(re.findall(r"\w+", cells[2]))
        below = set(may) if "above" in words else words & set(may)
        allowed = set(rooms).union(below, *(may[room] for room in below))
        everyone |= set(rooms) if "any" in words else set()
        closed |= set(rooms) if cells[2] == "-" else set()
        may |= dict.fromkeys(rooms, allowed)
    return {room: (set(may) | {"*"} if room in everyone else allowed | closed) for room, allowed in may.items()}


def imported_rooms(file: Path, package: Path) -> list[tuple[int, str]]:
    """(line, room) of each import of the package in one file; "__init__" is the package itself."""
    folder = ["opentrn", *file.relative_to(package).parts[:-1]]
    found = []
    for node in ast.walk(ast.parse(file.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = folder[: len(folder) - node.level + 1] if node.level else []
            base = [*base, *([node.module] if node.module else [])]
            names = [".".join([*base, alias.name]) for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "opentrn":
                room = parts[1] if len(parts) > 1 else "__init__"
                is_module = room == "_native" or (package / room).is_dir() or (package / f"{room}.py").is_file()
                found.append((node.lineno, room if is_module else "__init__"))
    return found


def violations(package: Path, table: str) -> list[str]:
    """One line of text for each import that the table forbids. Files outside of every room are entry points."""
    may, found = read_table(table), []
    for file in sorted(package.rglob("*.py")):
        room = file.relative_to(package).parts[0].removesuffix(".py")
        allowed = may.get(room, {"*"})
        found += [
            f"{file.relative_to(package)}:{line}: {room} imports {target}"
            for line, target in imported_rooms(file, package)
            if "*" not in allowed and target not in allowed
        ]
    return found


def test_imports_go_only_down():
    table = (ROOT / "ARCHITECTURE.md").read_text()
    assert {"errors", "numerics", "isa", "program", "cli"} <= set(read_table(table)), "the table was not recognised"
    assert violations(ROOT / "src" / "opentrn", table) == []


def make_package(folder: Path, file: str, line: str) -> Path:
    package = folder / "opentrn"
    for name in ("__init__", "errors", "units", "install", "numerics/__init__", "isa/__init__", "program/__init__"):
        (package / f"{name}.py").parent.mkdir(parents=True, exist_ok=True)
        (package / f"{name}.py").write_text("")
    (package / file).parent.mkdir(parents=True, exist_ok=True)
    (package / file).write_text(line + "\n")
    return package


@pytest.mark.parametrize(
    ("file", "line", "target"),
    [
        ("errors.py", "import opentrn.numerics", "numerics"),
        ("numerics/casts.py", "from opentrn.isa import spec", "isa"),
        ("numerics/casts.py", "from opentrn import isa", "isa"),
        ("numerics/casts.py", "from ..isa import spec", "isa"),
        ("numerics/deep/casts.py", "from ... import isa", "isa"),
        ("isa/spec.py", "def late():\n    import opentrn.program.view", "program"),
        ("isa/spec.py", "from opentrn.install import install", "install"),
        ("isa/spec.py", "from opentrn import anything", "__init__"),
        ("isa/spec.py", "import opentrn", "__init__"),
    ],
)
def test_an_import_that_goes_up_is_found(tmp_path, file, line, target):
    found = violations(make_package(tmp_path, file, line), TABLE)
    assert len(found) == 1
    assert found[0].endswith(f"imports {target}")


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("isa/spec.py", "from opentrn.errors import RuleError\nfrom opentrn import numerics\nfrom . import rules"),
        ("program/view.py", "from opentrn.numerics.casts import cast"),  # through isa
        ("program/view.py", "from opentrn import _native"),
        ("cli/run.py", "from opentrn.install import install\nimport opentrn.program"),
        ("install.py", "import opentrn.program"),
        ("errors.py", "import opentrn.units\nimport numpy"),
    ],
)
def test_an_import_that_goes_down_is_not(tmp_path, file, line):
    assert violations(make_package(tmp_path, file, line), TABLE) == []
