"""Comparable bugs in Triton kernels, run by triton-viz with its sanitizer (its only client that judges values or addresses).

``python triton_viz_probes.py NAME`` runs one probe and prints a line of JSON; without a name it prints the names. triton-viz,
a Triton that it fits (3.4 for triton-viz 3.0) and torch are needed, no GPU. Its front end for NKI needs neuronx-cc 2.22,
which is not on PyPI: the first probe tries.
"""

import contextlib
import io
import json
import sys
from importlib.metadata import version

import torch
import triton
import triton.language as tl

PROBES = {}


def probe(kind):
    return lambda function: PROBES.setdefault(function.__name__, (kind, function))[1]


def launch(kernel, *args, grid=(1,)):
    import triton_viz
    from triton_viz.clients import Sanitizer

    triton_viz.trace(Sanitizer())(kernel)[grid](*args)


@probe("front end for NKI")
def nki_front_end():
    """The front end for NKI is imported."""
    import triton_viz.core.nki

    return triton_viz.core.nki


@probe("out of bounds")
def load_past_the_end():
    """128 elements are read of a tensor of 100."""

    @triton.jit
    def kernel(x, out):
        i = tl.arange(0, 128)
        tl.store(out + i, tl.load(x + i))

    launch(kernel, torch.ones(100), torch.zeros(128))


@probe("out of bounds")
def store_past_the_end():
    """128 elements are written to a tensor of 100."""

    @triton.jit
    def kernel(x, out):
        i = tl.arange(0, 128)
        tl.store(out + i, tl.load(x + i))

    launch(kernel, torch.ones(128), torch.zeros(100))


@probe("out of bounds")
def gather_past_the_end():
    """Row numbers that are loaded from memory go beyond the tensor."""

    @triton.jit
    def kernel(x, rows, out):
        i = tl.arange(0, 16)
        tl.store(out + i, tl.load(x + tl.load(rows + i)))

    launch(kernel, torch.ones(16), torch.arange(8, 24), torch.zeros(16))


@probe("unwritten result")
def half_a_result():
    """Half of the result is never written."""

    @triton.jit
    def kernel(x, out):
        i = tl.arange(0, 64)
        tl.store(out + i, tl.load(x + i))

    launch(kernel, torch.ones(128), torch.empty(128))


@probe("uninitialised read")
def input_that_was_never_filled():
    """A tensor that torch.empty made is read."""

    @triton.jit
    def kernel(x, out):
        i = tl.arange(0, 128)
        tl.store(out + i, tl.load(x + i))

    launch(kernel, torch.empty(128), torch.zeros(128))


@probe("race")
def programs_write_one_element():
    """Four programs add to one element without an atomic."""

    @triton.jit
    def kernel(x, out):
        i = tl.program_id(0)
        tl.store(out, tl.load(out) + tl.load(x + i))

    launch(kernel, torch.ones(4), torch.zeros(1), grid=(4,))


@probe("instruction rule")
def product_smaller_than_the_hardware():
    """A tl.dot of 4 x 4 tiles; GPUs need at least 16."""

    @triton.jit
    def kernel(x, out):
        i = tl.arange(0, 4)[:, None] * 4 + tl.arange(0, 4)[None, :]
        tile = tl.load(x + i)
        tl.store(out + i, tl.dot(tile, tile))

    launch(kernel, torch.ones(16), torch.zeros(16))


@probe("over capacity")
def tile_larger_than_shared_memory():
    """A product of tiles that no shared memory holds."""

    @triton.jit
    def kernel(x, out):
        i = tl.arange(0, 512)[:, None] * 512 + tl.arange(0, 512)[None, :]
        tile = tl.load(x + i)
        tl.store(out + i, tl.dot(tile, tile))

    launch(kernel, torch.ones(512 * 512), torch.zeros(512 * 512))


@probe("values that may differ")
def float8_beyond_its_range():
    """A cast to float8 of values beyond its range."""

    @triton.jit
    def kernel(x, out):
        i = tl.arange(0, 128)
        tl.store(out + i, tl.load(x + i).to(tl.float8e5).to(tl.float32))

    launch(kernel, torch.full((128,), 1e6), torch.zeros(128))


@probe("waste")
def computed_for_nobody():
    """A sum that nothing reads."""

    @triton.jit
    def kernel(x, out):
        i = tl.arange(0, 128)
        tile = tl.load(x + i)
        tl.sum(tile)
        tl.store(out + i, tile)

    launch(kernel, torch.ones(128), torch.zeros(128))


def run(name):
    """One probe: what happened, in words."""
    kind, function = PROBES[name]
    said = io.StringIO()
    ended = ""
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            function()
    except SystemExit as end:
        ended = f"exit {end.code}"
    except ModuleNotFoundError as error:
        return {"class": kind, "result": "not run", "evidence": f"{type(error).__name__}: {error}"}
    except Exception as error:
        if "Unsupported type" in str(error):
            return {"class": kind, "result": "not run", "evidence": f"its interpreter stops: {error}"}
        return {
            "class": kind,
            "result": "yes",
            "evidence": f"{type(error).__name__}: {' '.join(str(error).split())[:110]}",
        }
    if "Out-Of-Bounds" in said.getvalue() or "Violation" in said.getvalue():
        return {"class": kind, "result": "yes", "evidence": f"a report of an illegal memory access {ended}".strip()}
    return {"class": kind, "result": "no", "evidence": "nothing is said"}


if __name__ == "__main__":
    if sys.argv[1:]:
        sys.stdout.write(json.dumps(run(sys.argv[1])) + "\n")
    else:
        about = {name: [kind, function.__doc__] for name, (kind, function) in PROBES.items()}
        used = f"triton-viz {version('triton-viz')}, triton {version('triton')}"
        print(json.dumps({"tool": "triton-viz", "version": used, "probes": about}))
