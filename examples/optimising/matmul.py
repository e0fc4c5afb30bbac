"""One matrix product in five steps, from the obvious loop to blocks in all three dimensions.

The steps follow the schedules of AWS's tutorial "Introduction to NKI Kernel Optimization" (SDK 2.32), which gives
times on a Trainium2 for all but step 3. `docs/optimising-a-kernel.md` walks through them.

    opentrn run examples/optimising/matmul.py                          # a table of all steps at the tutorial's size
    opentrn profile examples/optimising/matmul.py --kernel hoisted     # why one of them takes as long as it does
"""

import argparse

import nki
import nki.isa as nisa
import nki.language as nl
import numpy as np

import opentrn

K_TILE = 128  # rows of both operands that one product contracts: the partitions
M_TILE = 128  # columns of the stationary operand
N_TILE = 512  # columns of the moving operand: one PSUM bank of float32
SIZE = (4096, 8192, 8192)  # M, K, N of the tutorial
PUBLISHED_MS = {"tiled": 39.89, "hoisted": 28.20, "blocked": 28.41, "fully_blocked": 28.30}  # its steps v2 to v5


def load(src, row, column, width):
    """Rows row .. row + 128 and `width` columns of an HBM tensor, in SBUF."""
    tile = nl.ndarray((K_TILE, width), dtype=src.dtype, buffer=nl.sbuf)
    nisa.dma_copy(dst=tile, src=src[row : row + K_TILE, column : column + width])
    return tile


def load_column(src, column, width):
    """All rows of `width` columns, as tiles."""
    return [load(src, row, column, width) for row in range(0, src.shape[0], K_TILE)]


def multiply(left, right):
    """The sum of left[k].T @ right[k], in PSUM."""
    total = nl.ndarray((left[0].shape[1], right[0].shape[1]), dtype=nl.float32, buffer=nl.psum)
    for stationary, moving in zip(left, right, strict=True):
        nisa.nc_matmul(dst=total, stationary=stationary, moving=moving)
    return total


def store(out, m, n, total, engine=nisa.engine.unknown):
    """A finished tile from PSUM through SBUF to HBM; `engine` triggers the DMA."""
    height, width = total.shape
    tile = nl.ndarray(total.shape, dtype=out.dtype, buffer=nl.sbuf)
    nisa.tensor_copy(dst=tile, src=total)
    nisa.dma_copy(dst=out[m : m + height, n : n + width], src=tile, engine=engine)


def result(lhs_t, rhs):
    (k, m), (other, n) = lhs_t.shape, rhs.shape
    assert k == other, f"lhs_t {lhs_t.shape} and rhs {rhs.shape} need the same number of rows"
    return nl.ndarray((m, n), dtype=lhs_t.dtype, buffer=nl.shared_hbm), m, k, n


@nki.jit
def tiled(lhs_t, rhs):
    """Step 1: load both tiles just before each product. lhs_t (K, M), rhs (K, N) -> (M, N), multiples of the tiles."""
    out, rows, depth, columns = result(lhs_t, rhs)
    for m in range(0, rows, M_TILE):
        for n in range(0, columns, N_TILE):
            total = nl.ndarray((M_TILE, N_TILE), dtype=nl.float32, buffer=nl.psum)
            for k in range(0, depth, K_TILE):
                nisa.nc_matmul(dst=total, stationary=load(lhs_t, k, m, M_TILE), moving=load(rhs, k, n, N_TILE))
            store(out, m, n, total)
    return out


@nki.jit
def hoisted(lhs_t, rhs):
    """Step 2: the stationary tiles of a row of results are loaded once, not once for each result."""
    out, rows, _, columns = result(lhs_t, rhs)
    for m in range(0, rows, M_TILE):
        left = load_column(lhs_t, m, M_TILE)
        for n in range(0, columns, N_TILE):
            store(out, m, n, multiply(left, load_column(rhs, n, N_TILE)))
    return out


@nki.jit
def stores_aside(lhs_t, rhs):
    """Step 3: ScalarE, which has nothing to do, triggers the stores, so that loads never stand behind one."""
    out, rows, _, columns = result(lhs_t, rhs)
    for m in range(0, rows, M_TILE):
        left = load_column(lhs_t, m, M_TILE)
        for n in range(0, columns, N_TILE):
            store(out, m, n, multiply(left, load_column(rhs, n, N_TILE)), engine=nisa.engine.scalar)
    return out


@nki.jit
def blocked(lhs_t, rhs, m_tiles=2, n_tiles=2):
    """Step 4: blocks of m_tiles x n_tiles results: a column of rhs serves m_tiles results before the next one comes."""
    out, rows, _, columns = result(lhs_t, rhs)
    for m in range(0, rows, m_tiles * M_TILE):
        left = [load_column(lhs_t, m + i * M_TILE, M_TILE) for i in range(m_tiles)]
        for n in range(0, columns, n_tiles * N_TILE):
            for j in range(n, n + n_tiles * N_TILE, N_TILE):
                right = load_column(rhs, j, N_TILE)  # both columns at once would need 256 KiB of each partition's 208
                for i in range(m_tiles):
                    store(out, m + i * M_TILE, j, multiply(left[i], right), engine=nisa.engine.scalar)
    return out


@nki.jit
def fully_blocked(lhs_t, rhs, m_tiles=8, n_tiles=2, k_tiles=8):
    """Step 5: the contraction is blocked too; partial sums wait in SBUF, and each load is as wide as its block."""
    out, rows, depth, columns = result(lhs_t, rhs)
    m_block, n_block, k_block = m_tiles * M_TILE, n_tiles * N_TILE, k_tiles * K_TILE
    for n in range(0, columns, n_block):
        sums = {}
        for m in range(0, rows, M_TILE):
            sums[m] = nl.zeros((M_TILE, n_block), dtype=nl.float32)
        for k in range(0, depth, k_block):
            right = [load(rhs, row, n, n_block) for row in range(k, k + k_block, K_TILE)]
            for m in range(0, rows, m_block):
                left = [load(lhs_t, row, m, m_block) for row in range(k, k + k_block, K_TILE)]
                for j in range(0, n_block, N_TILE):
                    for i in range(0, m_block, M_TILE):
                        part = multiply([a[:, i : i + M_TILE] for a in left], [b[:, j : j + N_TILE] for b in right])
                        total = sums[m + i][:, j : j + N_TILE]
                        nisa.tensor_tensor(dst=total, data1=total, data2=part, op=nl.add)
        for m, total in sums.items():
            nisa.dma_copy(dst=out[m : m + M_TILE, n : n + n_block], src=total, engine=nisa.engine.scalar)
    return out


STEPS = (tiled, hoisted, stores_aside, blocked, fully_blocked)


def table(names):
    """Time the named steps at the tutorial's size, without data, and print them beside AWS's times."""
    m, k, n = SIZE
    lhs_t, rhs = opentrn.ShapeDtype((k, m), "float32"), opentrn.ShapeDtype((k, n), "float32")
    print(f"float32 ({m}, {k}) x ({k}, {n}) on trn2, one core")
    print(f"{'step':<15}{'predicted':>12}{'band':>20}{'published':>12}{'off by':>9}{'TensorE':>9}{'HBM read':>11}")
    for step in STEPS:
        if step.__name__ in names:
            report = opentrn.profile(step, mode="timing")(lhs_t, rhs)
            took, (low, high) = report.latency_us / 1e3, (bound / 1e3 for bound in report.latency_band_us)
            published = PUBLISHED_MS.get(step.__name__)
            known = f"{published:>9.2f} ms{took / published - 1:>+9.1%}" if published else f"{'-':>12}{'-':>9}"
            print(
                f"{step.__name__:<15}{took:>9.2f} ms{low:>9.2f} to {high:>5.2f} ms{known}"
                f"{report.engines['tensor'].utilisation:>9.0%}{report.dma.hbm_read_bytes / 1e9:>8.2f} GB"
            )


def check():
    """Every step gives the product, at a size that is quick with data."""
    rng = np.random.default_rng(0)
    lhs_t, rhs = (rng.standard_normal(shape).astype(np.float32) for shape in ((1024, 2048), (1024, 1024)))
    want = lhs_t.T @ rhs
    for step in STEPS:
        error = np.abs(step(lhs_t, rhs) - want).max() / np.abs(want).max()
        print(f"{step.__name__}: largest error {error:.1e} of the largest value")
        assert error < 1e-5


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    every = [step.__name__ for step in STEPS]
    parser.add_argument("steps", nargs="*", help=f"some of {', '.join(every)}; all by default")
    parser.add_argument("--check", action="store_true", help="compute values at a small size and compare them instead")
    given = parser.parse_args()
    unknown = [name for name in given.steps if name not in every]
    if unknown:
        parser.error(f"no step {', '.join(unknown)}")
    if given.check:
        check()
    else:
        table(given.steps or every)
