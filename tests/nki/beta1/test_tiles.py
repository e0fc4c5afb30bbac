"""Indexing, assignment and masks on tiles, against numpy."""

import numpy as np
import pytest
from tests.nki.beta1.kit import instructions, normal, stored

from opentrn.errors import OpentrnError, UnsupportedError, ViewError
from opentrn.nki.beta1 import isa as nisa
from opentrn.nki.beta1 import jit
from opentrn.nki.beta1 import language as nl


def test_even_and_odd_columns():
    x = normal(16, 10)

    def body(given):
        tile = nl.load(given)
        i_p, i_f = nl.arange(16)[:, None], nl.arange(5)[None, :]
        return tile[i_p, 2 * i_f + 1]

    assert np.array_equal(stored(body, x), x[:, 1::2])


def test_a_permuted_window_takes_strides_of_its_own():
    x = normal(4, 15)

    def body(given):
        tile, out = nl.load(given), nl.ndarray((4, 15), dtype=given.dtype)
        i_p, i_a, i_b = nl.mgrid[0:4, 0:3, 0:5]
        out[i_p, i_b * 3 + i_a] = nl.copy(tile[i_p, i_a * 5 + i_b])
        return out

    assert np.array_equal(stored(body, x), x.reshape(4, 3, 5).swapaxes(1, 2).reshape(4, 15))


def test_basic_indexing_drops_integers_and_keeps_a_tile():
    def body(given):
        tile = nl.load(given)
        assert tile[0].shape == (1, 6, 5) and tile[:, 2].shape == (8, 5) and tile[:, 2, 3].shape == (8, 1)
        assert given[3].shape == (6, 5) and given[3, 2].shape == (5,) and tile[0:2, ...].shape == (2, 6, 5)
        return tile[:, 2, 1:4]

    x = normal(8, 6, 5)
    assert np.array_equal(stored(body, x), x[:, 2, 1:4])


def test_reshape_takes_whole_floats():
    x = normal(8, 6)
    halved = stored(lambda given: nl.load(given).reshape((8, given.shape[1] / 2, 2)), x)
    assert np.array_equal(halved, x.reshape(8, 3, 2))
    with pytest.raises(ViewError, match="positive integers with product 48"):
        stored(lambda given: nl.load(given).reshape((8, 1.5, 4)), x)


def test_an_edge_tile_is_cut_by_its_mask():
    x = normal(200, 70)

    @jit
    def double(given):
        out = nl.ndarray(given.shape, dtype=given.dtype, buffer=nl.shared_hbm)
        for tile in nl.affine_range(2):
            i_p, i_f = nl.mgrid[0:128, 0:128]
            inside = (tile * 128 + i_p < 200) & (i_f < 70)
            part = nl.load(given[tile * 128 + i_p, i_f], mask=inside)
            nl.store(out[tile * 128 + i_p, i_f], part + part, mask=inside)  # the sum reads what the mask left out
        return out

    assert np.array_equal(double(x), 2 * x)
    assert instructions(double, x) == {"dma_copy": 4, "tensor_tensor": 2}


def test_an_index_beyond_the_tensor_without_a_mask_is_an_error():
    def body(given):
        return nl.load(given[nl.arange(32)[:, None], nl.arange(4)[None, :]])

    with pytest.raises(ViewError, match="outside dimension 0") as caught:
        stored(body, normal(20, 4))
    assert "mask=" in str(caught.value) and "test_tiles.py" in str(caught.value)


def test_a_triangle_is_stored_row_by_row_and_computed_with_a_predicate():
    x = normal(8, 8)

    @jit
    def lower(given):
        out = nl.ndarray(given.shape, dtype=given.dtype, buffer=nl.shared_hbm)
        i_p, i_f = nl.mgrid[0:8, 0:8]
        tile = nl.load(given)
        kept = nl.zeros((8, 8), dtype=given.dtype)
        kept[i_p, i_f] = nl.add(tile, 1.0, mask=i_f < 3)
        nl.store(out, kept)
        nl.store(out[i_p, i_f], tile, mask=i_f <= i_p)
        return out

    wanted = np.where(np.arange(8)[None, :] < 3, x + 1, 0)
    assert np.array_equal(lower(x), np.where(np.tri(8, dtype=bool), x, wanted.astype(np.float32)))


def test_a_mask_of_several_boxes_chooses_elements_of_an_existing_tile():
    x = normal(8, 8)

    def body(given):
        tile, out = nl.load(given), nl.zeros((8, 8), dtype=given.dtype)
        i_p, i_f, i_g = nl.mgrid[0:8, 0:4, 0:2]
        out[i_p, 2 * i_f + i_g] = nl.multiply(tile[i_p, 2 * i_f + i_g], 2.0, mask=i_f <= 2 * i_g)
        return out

    f, g = np.mgrid[0:4, 0:2]
    assert np.array_equal(stored(body, x), np.where((f <= 2 * g).reshape(8), 2 * x, 0))


def test_a_value_goes_straight_into_its_destination():
    x = normal(16, 32)

    @jit
    def direct(given):
        out, tile = (
            nl.ndarray(given.shape, dtype=given.dtype, buffer=nl.shared_hbm),
            nl.ndarray((16, 32), dtype=given.dtype),
        )
        tile[...] = nl.load(given)
        tile[:, 0:16] = nisa.activation(
            op=nl.square,
            data=tile[:, 16:32],
        )
        nl.store(out, tile)
        return out

    assert instructions(direct, x) == {"dma_copy": 2, "activation": 1}
    assert np.array_equal(direct(x), np.concatenate([x[:, 16:] ** 2, x[:, 16:]], 1))


def test_a_named_value_is_a_tile_of_its_own():
    x = normal(16, 32)

    @jit
    def kept(given):
        out, tile = nl.ndarray(given.shape, dtype=given.dtype, buffer=nl.shared_hbm), nl.load(given)
        square = nl.square(tile)
        tile[...] = square
        tile[...] = 0.0
        nl.store(out, square)
        return out

    assert np.array_equal(kept(x), x * x) and instructions(kept, x)["tensor_copy"] == 1


def test_instructions_keep_the_order_and_the_lines_of_the_program():
    def body(given):
        tile = nl.load(given)
        before = nl.add(tile, 1.0)
        tile[...] = 5.0
        return before

    x = normal(4, 4)
    assert np.array_equal(stored(body, x), x + 1)

    def wrong(given):
        tile = nl.load(given)
        bad = nisa.tensor_tensor(tile, tile[:, 0:2], op=nl.add)  # this line is at fault, not the next one
        return nl.exp(bad)

    with pytest.raises(Exception, match=rf"test_tiles.py:{wrong.__code__.co_firstlineno + 2} in wrong"):
        stored(wrong, x)


def test_numbers_and_broadcast_tiles_are_assigned():
    def body(given):
        tile, column = nl.ndarray((4, 6), dtype=nl.float32), nl.load(given)
        tile[...] = column
        tile[0:4, 1] = 7.0
        tile[2, 2:4] = 1.5  # an engine cannot start at partition 2: a DMA goes there
        return tile

    column = normal(4, 1)
    wanted = np.repeat(column, 6, 1)
    wanted[:, 1], wanted[2, 2:4] = 7, 1.5
    assert np.array_equal(stored(body, column), wanted)


def test_views_share_their_elements():
    def body(given):
        tile = nl.load(given)
        wide = tile.reshape((4, 2, 6))
        wide[:, 1, 0:2] = 0.0
        assert wide.expand_dims(3).shape == (4, 2, 6, 1) and tile.view(nl.int32).dtype == np.int32
        return tile

    x = normal(4, 12)
    wanted = x.copy()
    wanted[:, 6:8] = 0
    assert np.array_equal(stored(body, x), wanted)


def test_blocks_are_tiles_of_their_own():
    x = normal(3, 16, 8)

    def body(given):
        buffer = nl.ndarray((3, nl.par_dim(16), 8), dtype=given.dtype, buffer=nl.sbuf)
        for i in nl.affine_range(3):
            buffer[i] = nl.load(given[i])
        total = nl.zeros((nl.par_dim(16), 8), dtype=given.dtype)
        for i in nl.affine_range(3):
            total += buffer[i, nl.arange(16)[:, None], nl.arange(8)[None, :]]
        return total

    assert np.allclose(stored(body, x), x.sum(0))


def test_an_instruction_over_blocks_is_refused():
    def body(given):
        return nl.exp(nl.zeros((2, nl.par_dim(4), 8), dtype=nl.float32))

    with pytest.raises(UnsupportedError, match="several blocks"):
        stored(body)


def test_one_dimensional_ranges_do_not_index_tiles():
    def body(given):
        return nl.load(given)[nl.arange(4), 0]

    with pytest.raises(ViewError, match="1-D"):
        stored(body, normal(8, 4))


def test_partitions_are_not_strided():
    def body(given):
        return nl.copy(nl.load(given)[2 * nl.arange(4)[:, None], nl.arange(4)[None, :]])

    with pytest.raises(ViewError, match="partition"):
        stored(body, normal(8, 4))


def test_operand_masks_cut_the_operands_of_a_product():
    a, b = normal(32, 64), normal(32, 128)

    def body(left, right):
        i_p, i_m, i_n = nl.arange(32)[:, None], nl.arange(64)[None, :], nl.arange(128)[None, :]
        x, y = nl.load(left), nl.load(right)
        return nl.matmul(x[(i_m < 16) & (i_p >= 0)], y[i_n < 100], transpose_x=True)

    assert np.allclose(stored(body, a, b), a[:, :16].T @ b[:, :100], atol=1e-4)


@pytest.mark.parametrize(
    "body",
    [nl.exp, lambda x: x + 1, lambda x: nl.matmul(x, nl.load(x)), nl.transpose, nl.copy, lambda x: nl.load(nl.load(x))],
    ids=["exp", "plus", "matmul", "transpose", "copy", "load"],
)
def test_an_operand_in_the_wrong_memory_is_refused(body):  # err_unsupported_memory, SDK 2.26
    with pytest.raises(OpentrnError, match=r"memory of data|memory of src|src in sbuf"):
        stored(body, normal(8, 8))


def test_a_store_goes_from_the_chip_to_hbm():
    @jit
    def kernel(given, within):
        out = nl.ndarray(given.shape, dtype=given.dtype, buffer=nl.shared_hbm)
        nl.store(
            nl.ndarray((8, 8), dtype=given.dtype, buffer=nl.sbuf) if within else out,
            nl.load(given) if within else given,
        )
        return out

    for within, found in ((True, "dst in sbuf"), (False, "value in shared_hbm")):
        with pytest.raises(OpentrnError, match=found):
            kernel(normal(8, 8), within)
