"""Direct allocation: places of blocks in SBUF and PSUM."""

import numpy as np
import pytest
from tests.nki.beta1.kit import normal

import opentrn
from opentrn.errors import AddressError
from opentrn.isa.enums import MemoryRegion
from opentrn.nki.beta1 import compiler as ncc
from opentrn.nki.beta1 import isa as nisa
from opentrn.nki.beta1 import jit
from opentrn.nki.beta1 import language as nl

A = normal(4, 64, 128)


def addresses(kernel, *arrays, region=MemoryRegion.sbuf):
    memory = opentrn.run(kernel)(*arrays).memory[0]
    return [t.address for t in memory[region].tensors if t.manual]


def double(buffer):
    @jit
    def kernel(a):
        out = nl.ndarray(a.shape, dtype=a.dtype, buffer=nl.shared_hbm)
        tile = nl.ndarray((4, nl.par_dim(64), 128), dtype=a.dtype, buffer=buffer)
        for i in nl.affine_range(4):
            tile[i] = nl.load(a[i])
            nl.store(out[i], tile[i])
        return out

    return kernel


def test_modulo_allocation_goes_round():
    kernel = double(ncc.sbuf.mod_alloc(base_addr=1024, num_free_tiles=(2,)))
    assert np.array_equal(kernel(A), A)
    assert addresses(kernel, A) == [(0, 1024), (0, 1024 + 512), (0, 1024), (0, 1024 + 512)]


def test_a_function_says_where_each_block_goes():
    kernel = double(
        ncc.sbuf.alloc(lambda idx, pdim_size, fdim_size: (64 * (idx[0] % 2), 2048 + pdim_size * 0 + fdim_size))
    )
    assert np.array_equal(kernel(A), A) and addresses(kernel, A)[:2] == [(0, 2560), (64, 2560)]
    assert np.array_equal(double(ncc.sbuf.auto_alloc())(A), A)


def test_psum_is_placed_by_bank():
    @jit
    def kernel(a):
        out = nl.ndarray((4, 128, 128), dtype=a.dtype, buffer=nl.shared_hbm)
        products = nl.ndarray(
            (4, nl.par_dim(128), 128), dtype=nl.float32, buffer=ncc.psum.mod_alloc(base_bank=2, num_bank_tiles=(2,))
        )
        for i in nl.affine_range(4):
            tile = nl.load(a[i])
            products[i] = nisa.nc_matmul(tile, tile)
            nl.store(out[i], products[i])
        return out

    assert np.allclose(kernel(A), A.swapaxes(1, 2) @ A, atol=1e-3)
    assert [b for _, b in addresses(kernel, A, region=MemoryRegion.psum)] == [4096, 6144, 4096, 6144]


def test_a_loop_body_places_its_tensors_once():
    @jit
    def kernel(a):
        out, at = nl.ndarray(a.shape, dtype=a.dtype, buffer=nl.shared_hbm), 0
        for i in nl.affine_range(2):
            for j in nl.affine_range(2):
                tile = nl.ndarray((64, 128), dtype=a.dtype, buffer=ncc.sbuf.mod_alloc(base_addr=at))
                at += 512
                tile[...] = nl.load(a[2 * i + j])
                nl.store(out[2 * i + j], tile)
            for j in nl.static_range(2):  # unrolled: places of their own
                other = nl.ndarray((64, 128), dtype=a.dtype, buffer=ncc.sbuf.mod_alloc(base_addr=at))
                at += 512
                other[...] = nl.load(a[2 * i + j])
                nl.store(out[2 * i + j], other)
        return out

    assert np.array_equal(kernel(A), A)
    assert [b for _, b in addresses(kernel, A)] == [0, 0, 1024, 1536] * 2


def test_force_auto_alloc_ignores_places():
    kernel = ncc.force_auto_alloc(double(ncc.sbuf.mod_alloc(base_addr=1 << 20)))
    assert np.array_equal(kernel(A), A) and addresses(kernel, A) == []
    with pytest.raises(AddressError):
        double(ncc.sbuf.mod_alloc(base_addr=1 << 20))(A)


def test_marks_for_the_compiler_change_nothing():
    kernel = ncc.enable_stack_allocator(log_level=10)(ncc.skip_middle_end_transformations(double(nl.sbuf)))
    assert np.array_equal(kernel(A), A) and ncc.multi_buffer(3) == 3
    with ncc.allocation_scope():
        pass
