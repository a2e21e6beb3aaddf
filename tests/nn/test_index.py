"""Index: a selection of pixels, as NumPy selects them."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from image_cases import C, images
from pixel_layers import (
    IMAGE,
    assert_degenerate_images_are_harmless,
    assert_gradients_are_finite,
    assert_rule_equals_the_loops,
    assert_within_monte_carlo_error,
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
NET = nn.Serial(
    nn.Dense(C, 1.2, 0.3), nn.Relu(), nn.Index()[::-1, 1:], nn.Dense(C), nn.Index()[1], nn.Relu(), nn.GlobalAvgPool()
)


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
def test_degenerate_images_are_harmless():
    assert_degenerate_images_are_harmless(NET, IMAGE)


@pytest.mark.slow
def test_gradients_are_finite():
    assert_gradients_are_finite(NET, IMAGE)


@pytest.mark.slow
def test_kernels_lie_within_monte_carlo_error():
    net = nn.Serial(nn.Conv(6, 2), nn.Index()[1:, ::2], nn.Relu(), nn.GlobalAvgPool(), nn.Dense(1))
    assert_within_monte_carlo_error(net, IMAGE)


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


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (
            nn.Index()[:, :, 0],
            IMAGE,
            r"has 3 entries, the input 2 pixel axes, with pixels \(4, 3\); channels cannot be",
        ),
        (nn.Index()[0], (), "has 1 entries, the input 0 pixel axes"),
        (nn.Index()[0, 3], IMAGE, "pixel 3 of axis 1 is not there; it has 3 pixels, numbered 0 to 2, or -3 to -1"),
        (nn.Index()[-5], IMAGE, "pixel -5 of axis 0 is not there"),
        (nn.Index()[4:], IMAGE, "keeps none of the 4 pixels of axis 0"),
    ],
)
def test_inputs_that_do_not_fit_are_refused_by_every_rule(layer, shape, message):
    x = images(shape, np.float32)
    for use in (
        lambda: layer.init(jax.random.key(0), x),
        lambda: layer.apply((), jnp.asarray(x)),
        lambda: wf.Kernel(layer)(x),
    ):
        with pytest.raises(ValueError, match=message):
            use()
