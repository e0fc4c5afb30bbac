"""Run nki-library's own tests against opentrn: one process per test file, with limits, and a record of the run.

    python tests/conformance/nki_library.py --checkout NKI_LIBRARY --adapter ADAPTER --out FOLDER -m fast

CHECKOUT is aws-neuron/nki-library at tag 2.29; ADAPTER the folder that holds `nki_conformance` (it binds a package to
the names that those tests import; nothing of either is part of this repository). FOLDER gets `results.jsonl` (a line
per test, as it ends), a log per file and `run.json`; `--resume` goes on with what a run that was cut off left over.
`page.py` makes docs/conformance.md from such folders. The environment needs the suite's packages and pytest-timeout.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["Options", "Record", "main", "run"]

ROOT = Path(__file__).resolve().parents[2]
SUITE = "test/integration"
PACKAGES = ("opentrn", "numpy", "ml_dtypes", "torch", "pytest")


@dataclass(frozen=True)
class Options:
    """What to run, and within which limits (`memory_gib` resident per process, `timeout_s` per test)."""

    checkout: Path
    adapter: Path
    out: Path
    mark: str = ""
    target: str = "trn2"
    seed: int = 0
    timed: bool = False
    memory_gib: float = 20.0
    timeout_s: int = 1800
    sample: float = 1.0
    older: bool = False
    to_scale: bool = False
    resume: bool = False
    more: tuple[str, ...] = ()


@dataclass
class Record:
    """What a run was: everything that a reader needs to repeat it."""

    date: str
    mark: str
    target: str
    seed: int
    timed: bool
    memory_gib: float
    timeout_s: int
    sample: float
    older: bool
    to_scale: bool
    more: tuple[str, ...]
    checkout_commit: str
    commit: str
    machine: str
    versions: dict[str, str]
    synthesised: str = ""
    files: dict[str, dict[str, float]] = field(default_factory=dict)
    """Seconds (wall, user, system) and exit status of each file's process."""


def files_of(checkout: Path) -> list[str]:
    """The suite's test files, by their path in the checkout."""
    return sorted(str(path.relative_to(checkout)) for path in (checkout / SUITE).rglob("test_*.py"))


def _commit(folder: Path) -> str:
    made = subprocess.run(
        ["git", "-C", str(folder), "describe", "--always", "--tags", "--dirty"],
        capture_output=True,
        text=True,
        check=False,
    )
    return made.stdout.strip() or "unknown"


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def _environment(options: Options) -> dict[str, str]:
    results = str(options.out / "results.jsonl")
    plugins = [
        "choice",
        "packed",
        "mended",
        "resident",
        *(["older"] if options.older else []),
        *(["to_scale"] if options.to_scale else []),
        *(["timed"] if options.timed else []),
    ]
    return {
        **os.environ,
        "NKI_CONFORMANCE_NKI": "opentrn.nki",
        "NKI_CONFORMANCE_NKILIB": str(options.checkout),
        "NKI_CONFORMANCE_OUTDIR": str(options.out / "artifacts"),
        "NKI_CONFORMANCE_RESULTS_JSON": results,
        "OPENTRN_FINISHED": results if options.resume else "",
        "OPENTRN_MEMORY": str(options.memory_gib),
        "OPENTRN_SAMPLE": str(options.sample),
        "OPENTRN_TIMED_JSON": str(options.out / "timed.jsonl"),
        "PYTEST_PLUGINS": ",".join(f"tests.conformance.{each}" for each in plugins),
        "PYTHONPATH": os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(ROOT)])),
        "PY": sys.executable,
        "SEED": str(options.seed),
        "OMP_NUM_THREADS": "1",
    }


def run_file(options: Options, file: str) -> dict[str, float]:
    """Run one test file in a process of its own; gives back its seconds and exit status."""
    command = [str(options.adapter / "run_conformance.sh"), file, "--tb=short", f"--timeout={options.timeout_s}"]
    command += ["--platform-target", options.target, *(["-m", options.mark] if options.mark else []), *options.more]
    log = options.out / (Path(file).stem + ".log")
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    with log.open("w") as output:
        made = subprocess.run(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=_environment(options),
            cwd=options.out,
            check=False,
        )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    user, system = after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime
    return {"wall": time.monotonic() - start, "user": user, "system": system, "status": made.returncode}


def _synthesised(out: Path) -> str:
    """What the adapter had to make up because the package lacks it, from the header of any log."""
    for log in sorted(out.glob("*.log")):
        found = re.search(r"synthesised: (\[.*\])", log.read_text())
        if found:
            return found[1]
    return "no header found"


def run(options: Options, files: list[str]) -> Record:
    """Run `files`; results go to `options.out`, the record of the run as `run.json` too."""
    options.out.mkdir(parents=True, exist_ok=True)
    given = {k: v for k, v in asdict(options).items() if k not in ("checkout", "adapter", "out", "resume")}
    record = Record(
        date=time.strftime("%Y-%m-%d"),
        checkout_commit=_commit(options.checkout),
        commit=_commit(ROOT),
        machine=f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        versions=_versions(),
        **given,
    )
    target = options.out / "run.json"
    if target.exists():  # files that were run before stay in the record, as their results do
        record.files = json.loads(target.read_text())["files"]
    for file in files:
        spent, before = run_file(options, file), record.files.get(file, {}) if options.resume else {}
        record.files[file] = {**spent, **{key: spent[key] + before[key] for key in before if key != "status"}}
        record.synthesised = _synthesised(options.out)
        fresh = target.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(record), indent=1))
        fresh.replace(target)
        print(file, {k: round(v, 1) for k, v in record.files[file].items()}, flush=True)
    return record


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkout", type=Path, required=True)
    parser.add_argument("--adapter", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("-m", "--mark", default="", help="pytest's -m, for example fast")
    parser.add_argument("-k", "--keyword", default="", help="pytest's -k, an expression over the names of tests")
    parser.add_argument("--target", default="trn2", choices=["trn2", "trn3"])
    parser.add_argument("--seed", type=int, default=0, help="the sweep tests draw their cases from it")
    parser.add_argument("--timed", action="store_true", help="time (and check) every kernel that a test launches, too")
    parser.add_argument("--memory", type=float, default=20.0, help="GiB that a process may have resident")
    parser.add_argument("--sample", type=float, default=1.0, help="share of the tests to run, drawn with the seed")
    parser.add_argument(
        "--as-nki-0.4", dest="older", action="store_true", help="with the scales of quantize_mx before 0.5"
    )
    parser.add_argument(
        "--to-scale", action="store_true", help="attention_block_tkg with scales that fit its 8-bit numbers"
    )
    parser.add_argument("--resume", action="store_true", help="leave out the tests that FOLDER has results of")
    parser.add_argument("--timeout", type=int, default=1800, help="seconds per test")
    parser.add_argument("files", nargs="*", help="test files of the checkout; all without")
    given, more = parser.parse_known_args()
    options = Options(
        checkout=given.checkout.resolve(),
        adapter=given.adapter.resolve(),
        out=given.out.resolve(),
        mark=given.mark,
        target=given.target,
        seed=given.seed,
        timed=given.timed,
        memory_gib=given.memory,
        timeout_s=given.timeout,
        sample=given.sample,
        older=given.older,
        to_scale=given.to_scale,
        resume=given.resume,
        more=(*(["-k", given.keyword] if given.keyword else []), *more),
    )
    run(options, given.files or files_of(options.checkout))


if __name__ == "__main__":
    main()
