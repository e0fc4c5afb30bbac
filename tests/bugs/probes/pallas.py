"""Comparable bugs in Pallas TPU kernels, run in TPU interpret mode with everything on that looks for them.

``python pallas.py NAME`` runs one probe and prints a line of JSON; ``python pallas.py`` prints the names. jax alone is needed.
"""

import contextlib
import io
import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
from jax._src.pallas.mosaic.interpret import interpret_pallas_call as interpret
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

PROBES = {}
X = jnp.arange(8 * 128, dtype=jnp.float32).reshape(8, 128) / 1000
F32 = jax.ShapeDtypeStruct((8, 128), jnp.float32)
SCRATCH = pltpu.VMEM((8, 128), jnp.float32)
ANYWHERE = pl.BlockSpec(memory_space=pl.ANY)


def probe(kind):
    return lambda function: PROBES.setdefault(function.__name__, (kind, function))[1]


def call(kernel, *args, out=F32, cores=1, **options):
    params = pltpu.InterpretParams(detect_races=True, uninitialized_memory="nan", num_cores_or_threads=cores)
    return pl.pallas_call(kernel, out_shape=out, interpret=params, **options)(*args)


@probe("uninitialised read")
def scratch_before_it_is_written():
    """A sum that starts from scratch memory that nothing set."""

    def kernel(x, out, total):
        total[...] = total[...] + x[...]
        out[...] = total[...]

    return call(kernel, X, scratch_shapes=[SCRATCH])


@probe("uninitialised read")
def scratch_of_integers_before_it_is_written():
    """The same with int32 scratch."""

    def kernel(x, out, total):
        total[...] = total[...] + x[...]
        out[...] = total[...]

    scratch = [pltpu.VMEM((8, 128), jnp.int32)]
    return call(kernel, X.astype(jnp.int32), out=jax.ShapeDtypeStruct((8, 128), jnp.int32), scratch_shapes=scratch)


@probe("unwritten result")
def half_a_result():
    """Rows 4 to 7 of the result are never written."""

    def kernel(x, out):
        out[0:4, :] = x[0:4, :]

    return call(kernel, X)


@probe("out of bounds")
def slice_past_the_end():
    """A static slice of rows 6 to 9 of 8."""

    def kernel(x, out):
        out[...] = jnp.concatenate([x[pl.ds(6, 4), :], x[pl.ds(0, 4), :]])

    return call(kernel, X)


@probe("out of bounds")
def index_past_the_end():
    """A row number that is known when the kernel runs: 9 of 8."""

    def kernel(row, x, out):
        out[...] = jnp.broadcast_to(x[pl.ds(row[0], 1), :], (8, 128))

    spec = pl.BlockSpec(memory_space=pltpu.SMEM)
    return call(kernel, jnp.array([9]), X, in_specs=[spec, pl.BlockSpec(memory_space=pltpu.VMEM)])


@probe("race")
def read_before_the_dma_is_done():
    """Memory is read that a DMA is still filling: its wait comes too late."""

    def kernel(x, out, tile, done):
        move = pltpu.make_async_copy(x, tile, done)
        move.start()
        out[...] = tile[...]
        move.wait()

    return call(kernel, X, in_specs=[ANYWHERE], scratch_shapes=[SCRATCH, pltpu.SemaphoreType.DMA])


@probe("race")
def two_dmas_into_one_tile():
    """Two DMAs write the same memory and nothing orders them."""

    def kernel(x, y, out, tile, done):
        first, second = (pltpu.make_async_copy(each, tile, done.at[n]) for n, each in enumerate((x, y)))
        first.start()
        second.start()
        first.wait()
        second.wait()
        out[...] = tile[...]

    scratch = [SCRATCH, pltpu.SemaphoreType.DMA((2,))]
    return call(kernel, X, -X, in_specs=[ANYWHERE, ANYWHERE], scratch_shapes=scratch)


@probe("deadlock")
def semaphore_that_nobody_signals():
    """A wait for a semaphore that nothing signals."""

    def kernel(x, out, done):
        pltpu.make_async_copy(x, out, done).wait()

    return call(kernel, X, in_specs=[ANYWHERE], out_specs=ANYWHERE, scratch_shapes=[pltpu.SemaphoreType.DMA])


@probe("over capacity")
def scratch_larger_than_vmem():
    """256 MiB of scratch in VMEM, which has at most 128."""

    def kernel(x, out, tile):
        tile[0:8, 0:128] = x[...]
        out[...] = tile[0:8, 0:128]

    return call(kernel, X, scratch_shapes=[pltpu.VMEM((2**13, 2**13), jnp.float32)])


@probe("instruction rule")
def product_of_two_lengths():
    """A product whose contraction has 128 and 64 elements."""

    def kernel(x, y, out):
        out[...] = jnp.dot(x[...], y[...])

    return call(kernel, X, jnp.zeros((64, 128)))


@probe("instruction rule")
def sort_that_mosaic_does_not_lower():
    """An operation that the TPU compiler does not lower (a cumulative sum along lanes by lax.sort)."""

    def kernel(x, out):
        out[...] = jax.lax.sort(x[...])

    return call(kernel, X)


@probe("placement")
def computed_on_in_hbm():
    """Arithmetic on a reference in HBM, which has to be brought to VMEM by a DMA first."""

    def kernel(x, out):
        out[...] = x[...] + 1.0

    spec = pl.BlockSpec(memory_space=pltpu.HBM)
    return call(kernel, X, in_specs=[spec], out_specs=spec)


@probe("language subset")
def branch_on_a_value():
    """Python's `if` on a value that is known only when the kernel runs."""

    def kernel(x, out):
        if x[0, 0] > 0:
            out[...] = x[...]

    return call(kernel, X)


@probe("values that may differ")
def float8_beyond_its_range():
    """A cast to float8_e4m3fn of values beyond its range."""

    def kernel(x, out):
        out[...] = (x[...] * 1e6).astype(jnp.float8_e4m3fn).astype(jnp.float32)

    return call(kernel, X + 1)


@probe("waste")
def computed_for_nobody():
    """A sum that nothing reads."""

    def kernel(x, out, total):
        total[...] = x[...] * 2
        out[...] = x[...]

    return call(kernel, X, scratch_shapes=[SCRATCH])


@probe("wrong call")
def number_for_a_reference():
    """A kernel with a parameter too many."""

    def kernel(x, y, out):
        out[...] = x[...]

    return call(kernel, X)


def run(name):
    """One probe: what happened, in words."""
    kind, function = PROBES[name]
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            made = np.asarray(jax.block_until_ready(function()), np.float32)
    except Exception as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        text = next((line for line in reversed(lines) if "Error: " in line), lines[0] if lines else "")
        return {"class": kind, "result": "yes", "evidence": f"{type(error).__name__}: {text[:110]}"}
    if getattr(interpret.races, "races_found", False):
        return {"class": kind, "result": "yes", "evidence": "RACE DETECTED is printed"}
    if np.isnan(made).any():
        return {"class": kind, "result": "partly", "evidence": "nothing is said; the result has NaN"}
    if (np.abs(made) >= 2**31 - 2**8).any():
        return {"class": kind, "result": "partly", "evidence": "nothing is said; the result has the largest integers"}
    return {"class": kind, "result": "no", "evidence": "nothing is said"}


if __name__ == "__main__":
    if sys.argv[1:]:
        print(json.dumps(run(sys.argv[1])))
    else:
        about = {name: [kind, function.__doc__] for name, (kind, function) in PROBES.items()}
        print(json.dumps({"tool": "Pallas TPU interpret", "version": f"jax {jax.__version__}", "probes": about}))
