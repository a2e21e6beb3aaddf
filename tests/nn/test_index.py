"""Index: a selection of pixels, as NumPy selects them."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from image_cases import C, images
from pixel_layers import (
    IMAGE,
    assert_rule_equals_the_loops,
    shape_after,
)

import wideflow as wf
from wideflow import nn
from wideflow.nn import Demand

INDICES = [
    (),
    (slice(1, 3),),
    (slice(None), slice(None, None, 2)),
    (slice(None, None, -1), -1),
    (..., slice(-2, None)),
    (2, ...),
    (-4, 2),
]
every_index = pytest.mark.parametrize("index", INDICES, ids=str)


@every_index
def test_index_selects_what_numpy_selects(index):
    x = images(IMAGE, np.float32)
    layer = nn.Index()[index] if index else nn.Index()
    expected = x[(slice(None), *index, *([] if ... in index else [...]), slice(None))]
    assert layer == nn.Index(*index)
    assert shape_after(layer, (*IMAGE, C)) == expected.shape[1:]
    np.testing.assert_array_equal(layer.apply((), jnp.asarray(x)), expected)


@pytest.mark.parametrize("index", [INDICES[i] for i in (3, 6)], ids=str)
def test_the_rule_equals_the_loops(index):
    assert_rule_equals_the_loops(nn.Index(*index))


@pytest.mark.slow
@every_index
def test_the_rule_on_every_pair_equals_the_loops(index):
    assert_rule_equals_the_loops(nn.Serial(nn.Index(*index), nn.GlobalAvgPool()))


@pytest.mark.slow
def test_one_pixel_of_a_convolution_is_a_dense_layer_of_what_it_sees():
    x = images(IMAGE)
    rest = (nn.Relu(), nn.Dense(1))
    one = nn.Serial(nn.Conv(C, 2, 1.2, 0.1, padding="valid"), nn.Index()[0, 0], *rest)
    dense = nn.Serial(nn.Dense(C, 1.2, 0.1), *rest)
    for value, expected in zip(wf.Kernel(one)(x), wf.Kernel(dense)(x[:, :2, :2].reshape(3, -1)), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-12)


def test_equal_pixels_are_enough_for_equal_pixels():
    assert nn.Index()[2].demand(Demand.EQUAL) is Demand.EQUAL
    assert nn.Index()[2].demand(Demand.EVERY) is Demand.EVERY


def test_index_prints_like_its_source():
    for layer in (nn.Index(), nn.Index()[2:5, ::2], nn.Index()[..., -1], nn.Index()[:-1, 0]):
        assert eqx.tree_equal(eval(repr(layer), vars(nn)), layer)
    assert repr(nn.Serial(nn.Index()[2:5, ::2])) == "Serial(Index()[2:5, ::2])"
    assert hash(nn.Index()[2:5]) == hash(nn.Index(slice(2, 5)))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.Index()[None], TypeError, "integers, slices or an ellipsis, got None"),
        (lambda: nn.Index()[True], TypeError, "got True"),
        (lambda: nn.Index()[[0, 1]], TypeError, r"got \[0, 1\]; LinearMap takes any matrix"),
        (lambda: nn.Index()[0.5:], TypeError, "got 0.5"),
        (lambda: nn.Index()[1][2], TypeError, r"Index\(\)\[1\]: selects pixels already"),
        (lambda: nn.Index()[::0], ValueError, "step of a slice cannot be zero"),
        (lambda: nn.Index()[..., 0, ...], ValueError, "there can be one ellipsis, got 2"),
    ],
)
def test_what_selects_no_pixels_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()
