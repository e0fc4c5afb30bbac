"""Makes src/opentrn/checks/api_versions.csv from a clone of github.com/aws-neuron/aws-neuron-sdk.

    python tests/checks/make_api_versions.py PATH_OF_CLONE

The public API pages of NKI are made from stub files that the documentation repository holds; each release's are read at
the commit of that release. Only names and the versions that have them are kept.
"""

from __future__ import annotations

import ast
import csv
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

COMMITS = {
    "0.1": ["49ee15c5"],  # Neuron 2.26, neuronxcc.nki
    "0.2": ["337e6041", "86a92868"],  # 2.27 and 2.28
    "0.3": ["539a73c5"],  # 2.29
    "0.4": ["3afa0fdf"],  # 2.30
    "0.5": ["ee7d6e00"],  # 2.31
    "0.6": ["a3247f5b"],  # 2.32
}
ORDER = list(COMMITS)
OUT = Path(__file__).parents[2] / "src/opentrn/checks/api_versions.csv"
NOTES = {
    # nki.language.tile_size.rst; the stubs of 0.4 and 0.5 show tile_size without its members
    **dict.fromkeys(("bn_stats_fmax", "gemm_moving_fmax", "gemm_stationary_fmax", "pmax", "psum_fmax"), "0.1-"),
    **dict.fromkeys(("psum_min_align", "sbuf_min_align", "total_available_sbuf_size"), "0.1-"),
    # NKI 0.4.0 and 0.5.0 release notes, "New Features"
    **dict.fromkeys(
        ("sbuf_size_bytes", "sbuf_fmax", "sbuf_fmax_bytes", "psum_bank_fmax", "psum_bank_fmax_bytes"), "0.4-"
    ),
    "psum_num_banks": "0.5-",
    # NKI 0.4.0 release notes, "Deprecated and Removed APIs": deprecated in 0.3, removed in 0.4
    **dict.fromkeys(("tensor_copy_dynamic_src", "tensor_copy_dynamic_dst"), "0.1-0.3"),
    # NKI 0.5.0 release notes: methods that there were before they were documented; view since 0.2.0
    **dict.fromkeys(("NkiTensor.reshape", "NkiTensor.view", "NkiTensor.ap", "NkiTensor.get_pattern"), "0.2-"),
}
"""What the release notes say where the stubs do not show it: end of the dotted name -> versions."""

EVIDENT = {"nki.isa.constants": "0.2-", "nki.language.bool": "0.2-", "nki.language.range": "0.2-"}
"""Names that no API page lists, and that kernels of nki-library 2.29 use."""

UNINTENDED = ("is_identity", "sim_value", "device_value",
    *(f"NkiTensor.{each}" for each in ("ndim", "size", "buffer", "dtype", "name", "offset", "shape", "strides")))  # fmt: skip
"""Names that some stubs show and no page describes, and attributes that tensors always had."""


def git(clone: str, *words: str) -> str:
    return subprocess.run(["git", "-C", clone, *words], check=True, capture_output=True, text=True).stdout


def stubs(clone: str, commit: str) -> Iterator[tuple[str, ast.Module]]:
    """(module, syntax tree) of a release's stub files."""
    for path in git(clone, "ls-tree", "-r", "--name-only", commit).splitlines():
        head, _, tail = path.partition("nki/api/nki/")
        if tail.endswith(".py") and head in ("", "general/"):
            parts = tail.removesuffix(".py").removesuffix("__init__").strip("/").split("/")
            yield ".".join(["nki", *filter(None, parts)]), ast.parse(git(clone, "show", f"{commit}:{path}"))


def names(module: str, tree: ast.Module) -> Iterator[tuple[str, str]]:
    """(dotted name, keyword or "") of everything public."""
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    shown = {name: name for name in classes}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield from function(module, node)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("nki"):
            yield from ((f"{module}.{each.name}", "") for each in node.names)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                if isinstance(target, ast.Name):
                    yield f"{module}.{target.id}", ""
                    annotation = getattr(node, "annotation", None)
                    if isinstance(annotation, ast.Name) and annotation.id.startswith("_"):
                        shown[annotation.id] = target.id
    for name, node in classes.items():
        yield f"{module}.{shown[name]}", ""
        yield from members(f"{module}.{shown[name]}", node)


def function(prefix: str, node: ast.FunctionDef) -> Iterator[tuple[str, str]]:
    arguments = node.args
    yield f"{prefix}.{node.name}", ""
    for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        yield f"{prefix}.{node.name}", each.arg
    if arguments.kwarg:
        yield f"{prefix}.{node.name}", "**"


def members(prefix: str, node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for each in node.body:
        if isinstance(each, ast.FunctionDef):
            yield f"{prefix}.{each.name}", ""
        elif isinstance(each, (ast.Assign, ast.AnnAssign)):
            for target in each.targets if isinstance(each, ast.Assign) else [each.target]:
                if isinstance(target, ast.Name):
                    yield f"{prefix}.{target.id}", ""


def spans(versions: set[str]) -> str:
    """``0.1 0.3-`` for 0.1 and everything from 0.3; ``0.2-0.3`` for these two."""
    found, start, last = [], None, ""
    for version in [*ORDER, None]:
        if version in versions:
            start = start or version
            last = version
        elif start:
            found.append(f"{start}-" if last == ORDER[-1] else start if start == last else f"{start}-{last}")
            start = None
    return " ".join(found)


def main(clone: str) -> None:
    has: dict[tuple[str, str], set[str]] = {}
    for version, commits in COMMITS.items():
        for commit in commits:
            for module, tree in stubs(clone, commit):
                for key in names(module, tree):
                    if not any(part.startswith("_") for part in key[0].split(".")[1:]):
                        has.setdefault(key, set()).add(version)
    rows = [(name, "", versions) for name, versions in EVIDENT.items()]
    for (name, keyword), versions in sorted(has.items()):
        alive = has[name, ""] != {"0.1"} and keyword != "self"
        if not name.endswith(UNINTENDED) and (alive or not keyword):
            noted = next((v for end, v in NOTES.items() if name.endswith(f".{end}") and not keyword), None)
            rows.append((name, keyword, noted or spans(versions)))
    with OUT.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("name", "keyword", "versions"))
        writer.writerows(sorted(rows))


if __name__ == "__main__":
    main(sys.argv[1])
