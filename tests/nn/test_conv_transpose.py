"""ConvTranspose: as `jax.lax.conv_transpose`, with the kernels of the loops over what each input pixel reaches."""

from itertools import product

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
from oracles import pixel_maps
from wideflow import nn
from wideflow.nn import Demand

OPTIONS = [
    (3, 2, 1, "same"),
    ((2, 3), (3, 1), (1, 2), "same"),
    (2, 3, 1, "valid"),
    ((3, 2), (2, 1), 2, "valid"),
    ((3, 2), 2, (1, 2), "circular"),
    (1, 2, 1, "circular"),
]
every_option = pytest.mark.parametrize("options", OPTIONS, ids=str)


def layer_with(window, stride, dilation, padding):
    return nn.ConvTranspose(3, window, 1.4, 0.6, stride, dilation, padding)


@every_option
def test_conv_transpose_is_the_sum_over_what_input_pixels_reach(options, x64):
    x, layer = images(IMAGE), layer_with(*options)
    params = drawn(layer, x, np.random.default_rng(2))
    W, B = np.asarray(params["W"]), np.asarray(params["B"])
    taps, new = pixel_maps.taps(layer, IMAGE)
    each = zip(taps, W.reshape(-1, C, 3), strict=True)
    z = sum(np.einsum("pq,nqc,cd->npd", T, x.reshape(3, -1, C), weight) for T, weight in each)
    expected = 1.4 / np.sqrt(W[..., 0].size) * z.reshape(3, *new, 3) + 0.6 * B
    assert shape_after(layer, x.shape[1:]) == (*new, 3)
    np.testing.assert_allclose(layer.apply(params, jnp.asarray(x)), expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    ("size", "stride", "dilation", "padding"),
    [(4, 2, 1, "same"), (2, 3, 2, "same"), (1, 2, 1, "same"), (3, 2, 2, "valid"), (2, 3, 1, "valid")],
)
def test_conv_transpose_equals_that_of_jax(size, stride, dilation, padding):
    x = jnp.asarray(images((5,), np.float32))
    layer = nn.ConvTranspose(2, size, 1.0, None, stride, dilation, padding)
    params = drawn(layer, x, np.random.default_rng(2))
    W = params["W"] / (size * C) ** 0.5
    expected = jax.lax.conv_transpose(
        x, W, (stride,), padding.upper(), (dilation,), dimension_numbers=("NHC", "HIO", "NHC")
    )
    z = layer.apply(params, x)
    assert z.shape == expected.shape
    np.testing.assert_allclose(z, expected, rtol=1e-5, atol=1e-6)


def test_the_window_lies_where_jax_puts_it():
    line = jax.ShapeDtypeStruct((1, 5, 1), np.float32)
    for size, stride, dilation, padding in product(range(1, 5), range(1, 5), (1, 2), ("same", "valid")):
        layer = nn.ConvTranspose(1, size, stride=stride, dilation=dilation, padding=padding)
        window, length = jnp.zeros((size, 1, 1)), 5 * stride
        (slide,) = layer._slides((length,))
        options = ((stride,), padding.upper(), (dilation,), ("NHC", "HIO", "NHC"))
        (jaxpr,) = jax.make_jaxpr(lambda x, w=window, o=options: jax.lax.conv_transpose(x, w, *o))(line).eqns
        # Zeros after the last pixel are part of the length here.
        assert jaxpr.params["padding"] == ((slide.low, slide.high + stride - 1),)


def test_the_rule_equals_the_loops():
    assert_rule_equals_the_loops(layer_with(*OPTIONS[1]))


@pytest.mark.slow
@every_option
def test_the_rule_on_every_pair_equals_the_loops(options):
    assert_rule_equals_the_loops(nn.Serial(layer_with(*options), nn.GlobalAvgPool()))


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(5,), (2, 1, 3)], ids=str)
def test_kernels_equal_the_loops_on_lines_and_bodies(shape):
    net = nn.Serial(nn.ConvTranspose(C, 2, stride=2), nn.Relu(), nn.ConvTranspose(C, 3, 1.2, 0.1), nn.Flatten())
    assert_kernels_equal_the_loops(net, shape)


@pytest.mark.slow
def test_standard_parameterization_puts_the_scale_into_the_draw():
    assert_standard_parameterization_moves_the_scale(nn.ConvTranspose(3, 2, 1.4, 0.6, 2))


@pytest.mark.slow
def test_variance_is_that_of_the_inputs_seen():
    x = np.ones((1, 6, 1))
    for stride, seen in ((1, 4), (2, 2), (4, 1)):  # windows of four, away from the edges
        variance = wf.Kernel(nn.ConvTranspose(1, 4, 1.5, stride=stride, padding="circular")).nngp(x)[0, 0]
        np.testing.assert_allclose(variance, 1.5**2 * seen / 4, rtol=1e-12)


@pytest.mark.slow
def test_a_stride_of_one_is_a_convolution():
    x = images(IMAGE)
    one, two = (
        nn.Serial(nn.Dense(C), kind(C, (3, 1), 1.2, 0.3, lr_w=0.4, lr_b=2.0)) for kind in (nn.ConvTranspose, nn.Conv)
    )
    for value, expected in zip(wf.Kernel(one)(x), wf.Kernel(two)(x), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-13)


def test_equal_pixels_are_enough_for_equal_pixels():
    assert nn.ConvTranspose(C, 3).demand(Demand.EQUAL) is Demand.EQUAL
    assert nn.ConvTranspose(C, 3).demand(Demand.EVERY) is Demand.EVERY


def test_conv_transpose_prints_like_its_source():
    layer = nn.ConvTranspose(4, (3, 2), 1.5, stride=2, padding="valid")
    assert repr(layer) == "ConvTranspose(4, (3, 2), w=1.5, stride=2, padding='valid')"
    assert eqx.tree_equal(eval(repr(layer), vars(nn)), layer)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.ConvTranspose(0, 3), r"ConvTranspose\(0, 3\): the number of output channels must be at least 1"),
        (lambda: nn.ConvTranspose(8, 3, stride=0), "strides must be positive integers, got 0"),
        (lambda: nn.ConvTranspose(8, 3, -1.0), "w must be"),
        (lambda: nn.ConvTranspose(8, 3, padding="full"), "padding must be one of"),
    ],
)
def test_options_that_make_no_sense_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
