"""LinearMap: a fixed map over pixels, against loops, finite networks and the layers it generalises."""

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
    shape_after,
)

import wideflow as wf
from oracles import pixel_maps
from wideflow import nn
from wideflow.nn import Demand

rng = np.random.default_rng(5)
ACROSS, DOWN, WHOLE = rng.normal(size=(2, 3)), rng.normal(size=(3, 4)), rng.normal(size=(5, 12))


LAYERS = [
    nn.LinearMap(WHOLE),
    nn.LinearMap(WHOLE[:4], shape=(2, 1, 2)),
    nn.LinearMap((DOWN, ACROSS)),
    nn.LinearMap((None, ACROSS)),
]
every_layer = pytest.mark.parametrize("layer", LAYERS, ids=["whole", "shaped", "separable", "one-axis"])


@every_layer
def test_linear_map_is_the_sum_over_pixels(layer, x64):
    x = images(IMAGE)
    M, new = pixel_maps.matrix(layer, IMAGE)
    expected = np.stack([sum(M[p, q] * x.reshape(3, 12, C)[:, q] for q in range(12)) for p in range(len(M))], axis=1)
    assert shape_after(layer, (*IMAGE, C)) == (*new, C)
    np.testing.assert_allclose(layer.apply((), jnp.asarray(x)), expected.reshape(3, *new, C), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    "layer", [LAYERS[1], pytest.param(LAYERS[2], marks=pytest.mark.slow)], ids=["shaped", "separable"]
)
def test_the_rule_equals_the_loops(layer):
    assert_rule_equals_the_loops(layer)


@pytest.mark.slow
def test_pools_are_linear_maps():
    x = images(IMAGE)
    mean = np.kron(np.eye(2), [[0.5, 0.5]])
    pairs = [
        (nn.LinearMap(np.full((1, 12), 1 / 12)), nn.AvgPool(IMAGE)),
        (nn.LinearMap((mean, None)), nn.AvgPool((2, 1))),
    ]
    for one, two in pairs:
        maps, pools = (nn.Serial(nn.Dense(C), nn.Relu(), layer, nn.Flatten()) for layer in (one, two))
        for value, expected in zip(wf.Kernel(maps)(x), wf.Kernel(pools)(x), strict=True):
            np.testing.assert_allclose(value, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.slow
def test_images_without_contrast_stay_alike_in_float32():
    x = np.random.default_rng(0).standard_normal((3, C)).astype(np.float32)
    constant = np.broadcast_to(x[:, None, None], (3, *IMAGE, C))
    head = (nn.Dense(C, 1.3), nn.Relu(), nn.GlobalAvgPool(), nn.Dense(1))
    weights = ([[1.5, -0.25, -0.25], [0.3, 0.3, 0.4]], [[0.1, 0.2, 0.3, 0.4]])  # rows of sum one, rounded
    mapped = nn.Serial(nn.Dense(C), nn.Relu(), nn.LinearMap(weights[::-1]), *head)
    plain = nn.Serial(nn.Dense(C), nn.Relu(), *head)
    for value, expected in zip(
        wf.Kernel(mapped)(constant), wf.Kernel(plain)(x[:, None, None].astype(float)), strict=True
    ):
        np.testing.assert_allclose(value, expected, rtol=2e-6)


@pytest.mark.slow
def test_a_residual_branch_can_end_in_a_linear_map():
    blur = np.array([[0.7, 0.3, 0.0], [0.2, 0.6, 0.2], [0.0, 0.3, 0.7]])
    branch = nn.Repeat(nn.Residual(nn.Relu(), nn.Dense(C, 0.8), nn.LinearMap((None, blur))), 2)
    assert_kernels_equal_the_loops(nn.Serial(nn.Dense(C, b=0.2), branch, nn.Flatten()), IMAGE)


def test_every_pair_is_needed():
    assert nn.LinearMap(WHOLE).demand(Demand.EQUAL) is Demand.EVERY
    ones = jnp.ones((1, *IMAGE))
    equal = nn.Cov(ones, ones, ones[None], ones[None])
    with pytest.raises(ValueError, match="wanted the covariance of every pair of pixels"):
        nn.LinearMap(WHOLE).cov(equal)


@pytest.mark.slow
def test_a_new_matrix_does_not_recompile():
    count = []

    @jax.jit
    def ntk(net, x):
        count.append(1)
        return wf.Kernel(net).ntk(x)

    for scale in (1.0, 2.0):
        ntk(nn.Serial(nn.Dense(C), nn.LinearMap(scale * WHOLE), nn.Flatten()), images(IMAGE, np.float32))
    assert len(count) == 1


def test_linear_map_prints_like_its_source():
    for layer in (nn.LinearMap([[0.5, 0.5], [1.0, 0.1]], shape=(2, 1)), nn.LinearMap((None, [[1.5]]))):
        assert eqx.tree_equal(eval(repr(layer), vars(nn)), layer)
    assert repr(nn.LinearMap(([[1.0, 0.5]],))) == "LinearMap(([[1.0, 0.5]],))"
    large, other = (nn.LinearMap(np.full((9, 9), value)) for value in (0.1, 0.2))
    assert repr(large) == repr(nn.LinearMap(large.matrix)) != repr(other)
    assert len(repr(large)) < 50


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.LinearMap([1.0, 2.0]), r"must be \[new, old\], got shape \(2,\)"),
        (lambda: nn.LinearMap(np.zeros((0, 3))), r"got shape \(0, 3\)"),
        (lambda: nn.LinearMap([[1.0, np.nan]]), "NaN or infinity"),
        (lambda: nn.LinearMap(()), "one matrix for each pixel axis"),
        (lambda: nn.LinearMap(([[1.0]], None), shape=(1,)), "belongs to one matrix over all pixels"),
        (lambda: nn.LinearMap(WHOLE, shape=(2, 2)), r"the matrix makes 5 pixels, shape=\(2, 2\) others"),
    ],
)
def test_what_is_no_matrix_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
