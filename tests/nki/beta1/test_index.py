"""Index expressions and masks: what numpy computes on the same grids."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opentrn.errors import UnsupportedError, ViewError
from opentrn.nki.beta1.index import Index, arange, mgrid
from opentrn.nki.beta1.region import boxes

small = st.integers(-3, 3)


def test_arange_on_two_dimensions_is_numpys():
    made = 5 + 2 * arange(3, 7)[:, None] - arange(4)[None, :] * 3
    wanted = 5 + 2 * np.arange(3, 7)[:, None] - np.arange(4)[None, :] * 3
    assert np.array_equal(made.values(), wanted) and made.shape == (4, 4)


def test_mgrid_is_dense_and_named():
    grid = mgrid[2:5, 0:8:2]
    assert np.array_equal(grid[0].values(), np.mgrid[2:5, 0:8:2][0])
    assert np.array_equal(mgrid[2:5, 0:8:2].x.values(), np.mgrid[2:5, 0:8:2][1])
    with pytest.raises(AttributeError, match="no 'y'"):
        _ = mgrid[0:2, 0:2].y
    assert len(grid) == 2


@given(small, small, small, st.integers(1, 5), st.integers(1, 5))
def test_a_condition_bounds_the_box_it_holds_in(a, b, c, n, m):
    p, f = arange(n)[:, None], arange(m)[None, :]
    mask = a * p + b * f + c >= 0
    here = np.zeros((n, m), bool)
    for box in boxes(mask, (n, m)):
        part = here[tuple(slice(*edge) for edge in box)]
        assert not part.any()
        part[...] = True
    assert np.array_equal(here, a * np.arange(n)[:, None] + b * np.arange(m)[None, :] + c >= 0)


def test_conditions_are_joined():
    p, f = mgrid[0:8, 0:8]
    assert boxes((p < 3) & (f >= 2) & True, (8, 8)) == [((0, 3), (2, 8))]
    assert boxes((p < 3) & (p > 3), (8, 8)) == [] == boxes(False, (8, 8))
    assert boxes(~(p < 3), (8, 8)) == [((3, 8), (0, 8))] and boxes(p == 4, (8, 8)) == [((4, 5), (0, 8))]


def test_a_division_that_stays_affine_is_understood():
    assert (arange(4, 8)[:, None] // 4).low() == 1 == (arange(4, 8)[:, None] // 4).high()
    with pytest.raises(UnsupportedError, match="//"):
        arange(8)[:, None] // 3


@pytest.mark.parametrize(
    "bad", [lambda i: i * i, lambda i: i * 1.5, lambda i: i != 3, lambda i: bool(i), lambda i: (i < 1) | (i > 3)]
)
def test_what_is_no_affine_expression_is_refused(bad):
    with pytest.raises(UnsupportedError):
        bad(arange(4)[:, None])


def test_a_mask_over_another_grid_is_refused():
    with pytest.raises(ViewError, match=r"another grid|do not broadcast"):
        boxes(arange(8)[:, None] < 3, (4, 4))
    with pytest.raises(ViewError, match="mask="):
        boxes(3, (4, 4))


def test_and_drops_the_first_mask_as_python_does_with_a_warning():
    p, f = mgrid[0:8, 0:8]
    with pytest.warns(UserWarning, match="drops the first mask"):
        mask = p < 3 and f < 2
    assert boxes(mask, (8, 8)) == [((0, 8), (0, 2))]


def test_positions_of_a_dense_index():
    assert isinstance(mgrid[0:2], tuple) and isinstance(mgrid[0:2][0], Index)
    with pytest.raises(ViewError, match="mgrid"):
        _ = mgrid[3]
