"""Resize: as `jax.image.resize`, with the kernels of its interpolation, against definitions in NumPy."""

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
from oracles import pixel_maps
from wideflow import nn
from wideflow.nn import Demand

LAYERS = [
    nn.Resize((3, 7), "nearest"),
    nn.Resize((3, 7)),
    nn.Resize((3, 7), "linear", antialias=False),
    nn.Resize(2, "cubic"),
    nn.Resize((9, 3), "cubic", antialias=False),
    nn.Resize((2, 6), "lanczos3"),
    nn.Resize((2, 6), "lanczos5", antialias=False),
    nn.Resize(method="cubic", factor=(0.5, 1.7)),
]
every_layer = pytest.mark.parametrize("layer", LAYERS, ids=repr)


@every_layer
def test_resize_interpolates_as_defined(layer, x64):
    x = images(IMAGE)
    M, new = pixel_maps.matrix(layer, IMAGE)
    assert shape_after(layer, (*IMAGE, C)) == (*new, C)
    expected = np.einsum("pq,nqc->npc", M, x.reshape(3, -1, C)).reshape(3, *new, C)
    np.testing.assert_allclose(layer.apply((), jnp.asarray(x)), expected, rtol=1e-12, atol=1e-13)


def test_the_rule_equals_the_loops():
    assert_rule_equals_the_loops(LAYERS[4])


@pytest.mark.slow
@pytest.mark.parametrize("layer", [LAYERS[i] for i in (0, 1, 2, 3, 5, 6, 7)], ids=repr)
def test_the_rule_of_other_methods_equals_the_loops(layer):
    assert_rule_equals_the_loops(layer)


def test_nearest_copies_the_pixel_that_holds_the_centre():
    x = jnp.arange(24, dtype=jnp.float32).reshape(1, 24, 1)
    for new in (5, 36, 47):
        layer = nn.Resize(new, "nearest")
        M, _ = pixel_maps.matrix(layer, (24,))
        np.testing.assert_array_equal(layer.apply((), x)[0, :, 0], M @ np.arange(24))


@pytest.mark.slow
def test_copies_stay_exactly_alike():
    x = images(IMAGE)
    before, after = (nn.Conv(C, 3), nn.Erf()), (nn.Dense(C), nn.Relu(), nn.GlobalAvgPool())
    copied = wf.Kernel(nn.Serial(*before, nn.Resize((8, 6), "nearest"), *after))(x)
    for value, expected in zip(copied, wf.Kernel(nn.Serial(*before, *after))(x), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-12)


def test_nearest_needs_what_the_output_needs_and_mixtures_every_pair():
    assert nn.Resize(3, "nearest").demand(Demand.EQUAL) is Demand.EQUAL
    assert nn.Resize(3, "nearest").demand(Demand.EVERY) is Demand.EVERY
    assert nn.Resize(3, "linear").demand(Demand.EQUAL) is Demand.EVERY


@every_layer
def test_resize_prints_like_its_source(layer):
    assert eqx.tree_equal(eval(repr(layer), vars(nn)), layer)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Resize((3, 0)), r"positive integers, one for each pixel axis, got \(3, 0\)"),
        (lambda: nn.Resize(()), "positive integers"),
        (lambda: nn.Resize(), "give shape, .* or factor, .* got shape=None and factor=None"),
        (lambda: nn.Resize(3, factor=2.0), "got shape=3 and factor=2.0"),
        (lambda: nn.Resize(factor=(2.0, 0.0)), r"factors must be positive numbers, .* got \(2.0, 0.0\)"),
        (lambda: nn.Resize(3, "sinc"), "method must be one of \"nearest\", .*, got 'sinc'"),
    ],
)
def test_options_that_make_no_sense_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
