"""ConvLocal: a convolution without shared weights, against loops, finite networks and the convolution itself."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from image_cases import C, images
from pixel_layers import (
    IMAGE,
    assert_kernels_equal_the_loops,
    assert_rule_equals_the_loops,
    assert_standard_parameterization_moves_the_scale,
    drawn,
    shape_after,
)

import wideflow as wf
from oracles import pixels
from wideflow import nn
from wideflow.kernels.inputs import input_cov
from wideflow.nn import Demand

OPTIONS = [
    (3, 1, 1, "same"),
    ((2, 3), (3, 1), (1, 2), "same"),
    ((3, 2), 1, (1, 2), "valid"),
    ((2, 3), 2, (3, 1), "circular"),
]
every_option = pytest.mark.parametrize("options", OPTIONS, ids=str)


def layer_with(window, stride, dilation, padding):
    return nn.ConvLocal(3, window, 1.4, 0.6, stride, dilation, padding)


@every_option
def test_conv_local_equals_the_loops_with_weights_of_its_own_at_every_pixel(options, x64):
    x, layer = images(IMAGE), layer_with(*options)
    params = drawn(layer, x, np.random.default_rng(2))
    W, B = np.asarray(params["W"]), np.asarray(params["B"])
    rows = pixels.patches(IMAGE, *options)
    assert shape_after(layer, x.shape[1:]) == (*W.shape[:2], 3) == B.shape
    z = np.zeros((3, *B.shape))
    for p, window in rows.items():
        for pixel, weight in zip(window, W[p].reshape(-1, C, 3), strict=True):
            if pixel is not None:
                z[(slice(None), *p)] += x[(slice(None), *pixel)] @ weight
    expected = 1.4 / np.sqrt(W[0, 0, ..., 0].size) * z + 0.6 * B
    np.testing.assert_allclose(layer.apply(params, jnp.asarray(x)), expected, rtol=1e-12, atol=1e-13)


def test_the_rule_equals_the_loops():
    assert_rule_equals_the_loops(layer_with(*OPTIONS[1]))


@pytest.mark.slow
@every_option
def test_the_rule_on_every_pair_equals_the_loops(options):
    assert_rule_equals_the_loops(nn.Serial(layer_with(*options), nn.GlobalAvgPool()))


@pytest.mark.slow
def test_every_weight_is_drawn_by_itself():
    params, _ = nn.ConvLocal(C, 2, b=0.1).setup(jax.random.key(0), (3, C))
    values = np.concatenate([np.ravel(p) for p in jax.tree.leaves(params)])
    assert len(np.unique(values)) == len(values) == 3 * (2 * C * C + C)


@pytest.mark.slow
def test_different_pixels_are_uncorrelated(x64):
    k = nn.ConvLocal(C, 3, 1.2, 0.4).cov(input_cov(jnp.asarray(images((4,))), None, Demand.EVERY))
    for values, other in ((k.q1, 0), (k.nngp, 0), (k.ntk, 0), (k.delta, 1)):
        np.testing.assert_array_equal(np.asarray(values)[..., ~np.eye(4, dtype=bool)], other)
    shared = nn.Conv(C, 3, 1.2, 0.4).cov(input_cov(jnp.asarray(images((4,))), None, Demand.EQUAL))
    np.testing.assert_array_equal(k.equal(k.nngp), shared.nngp)
    np.testing.assert_array_equal(k.equal(k.ntk), shared.ntk)


@pytest.mark.slow
def test_without_pooling_the_kernels_are_those_of_the_convolutional_network():
    x = images(IMAGE)
    local, shared = (
        nn.Serial(kind(C, 3, 1.2, 0.3, lr_w=0.4), nn.Relu(), kind(C, 2, stride=2), nn.Relu(), nn.Flatten(), nn.Dense(1))
        for kind in (nn.ConvLocal, nn.Conv)
    )
    for value, expected in zip(wf.Kernel(local)(x), wf.Kernel(shared)(x), strict=True):
        np.testing.assert_array_equal(value, expected)


@pytest.mark.slow
def test_standard_parameterization_puts_the_scale_into_the_draw():
    assert_standard_parameterization_moves_the_scale(nn.ConvLocal(3, 2, 1.4, 0.6))


@pytest.mark.slow
def test_kernels_equal_the_loops_in_residual_branches():
    branch = nn.Repeat(nn.Residual(nn.Relu(), nn.ConvLocal(C, 3, 0.8, 0.1)), 2)
    assert_kernels_equal_the_loops(nn.Serial(nn.Conv(C, 2), branch, nn.GlobalSumPool()), IMAGE)


def test_equal_pixels_are_enough_for_equal_pixels():
    assert nn.ConvLocal(C, 3).demand(Demand.EQUAL) is Demand.EQUAL


def test_conv_local_prints_like_its_source():
    layer = nn.ConvLocal(4, (3, 2), 1.5, dilation=2)
    assert repr(layer) == "ConvLocal(4, (3, 2), w=1.5, dilation=2)"
    assert eqx.tree_equal(eval(repr(layer), vars(nn)), layer)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.ConvLocal(0, 3), r"ConvLocal\(0, 3\): the number of output channels must be at least 1"),
        (lambda: nn.ConvLocal(8, 3, dilation=0), "dilations must be positive integers, got 0"),
        (lambda: nn.ConvLocal(8, 3, b=-1.0), "b must be"),
    ],
)
def test_options_that_make_no_sense_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
