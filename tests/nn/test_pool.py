"""Pooling layers: their finite forms against loops, and what they do to a covariance."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from image_cases import images

import wideflow as wf
from oracles import pixels
from wideflow import nn
from wideflow.nn import Demand

LAYERS = [
    ((7,), nn.SumPool(2)),
    ((7,), nn.AvgPool(3, 2, "same")),
    ((7,), nn.AvgPool(4, 2, "same", normalise_edges=True)),
    ((5, 4), nn.SumPool((3, 2), (1, 2), "circular")),
    ((5, 4), nn.AvgPool(2, 1, "same", normalise_edges=True)),
    ((5, 4), nn.AvgPool((2, 3), padding="valid", normalise_edges=True)),
    ((3, 2, 3), nn.AvgPool((2, 1, 2), 1, "same")),
]


@pytest.mark.parametrize(("shape", "layer"), LAYERS, ids=repr)
def test_pooling_equals_the_loops_over_pixels(shape, layer, x64):
    x = images(shape)
    z, expected = layer.apply((), jnp.asarray(x)), pixels.pool(layer, x)
    assert layer.setup(jax.random.key(0), x.shape[1:]) == ((), expected.shape[1:])
    np.testing.assert_allclose(z, expected, rtol=1e-13, atol=1e-14)


def test_global_pooling_takes_every_pixel():
    x = jnp.asarray(images((5, 4), np.float32))
    np.testing.assert_allclose(nn.GlobalSumPool().apply((), x), x.sum((1, 2)), rtol=1e-6)
    np.testing.assert_allclose(nn.GlobalAvgPool().apply((), x), x.mean((1, 2)), rtol=1e-6)
    assert nn.GlobalAvgPool().setup(jax.random.key(0), (5, 4, 2)) == ((), (2,))


def test_a_window_over_everything_is_global_pooling():
    x = images((5, 4))
    whole, window = (
        wf.Kernel(nn.Serial(nn.Conv(8, 3), nn.Relu(), *pool, nn.Dense(1)))(x)
        for pool in ([nn.GlobalAvgPool()], [nn.AvgPool((5, 4)), nn.Flatten()])
    )
    for value, expected in zip(window, whole, strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-13)


def test_long_means_keep_float32_digits():
    x = 1 + np.random.default_rng(0).random((1, 32, 32, 1), np.float32)  # no term cancels another
    expected = np.mean(x.astype(np.float64), axis=(1, 2)) ** 2
    np.testing.assert_allclose(wf.Kernel(nn.GlobalAvgPool()).nngp(x), expected, rtol=5e-7)


def test_pooling_asks_for_every_pair_and_flatten_for_equal_pixels():
    for layer in (nn.SumPool(2), nn.AvgPool(2), nn.GlobalSumPool(), nn.GlobalAvgPool()):
        assert layer.demand(Demand.EQUAL) is Demand.EVERY
    assert nn.Flatten().demand(Demand.EVERY) is Demand.EQUAL
    assert nn.Conv(4, 3).demand(Demand.EQUAL) is Demand.EQUAL
    assert nn.Serial(nn.Conv(4, 3), nn.GlobalAvgPool()).demand(Demand.EQUAL) is Demand.EVERY
    assert nn.Serial(nn.Conv(4, 3), nn.Relu(), nn.Flatten(), nn.Dense(1)).demand(Demand.EVERY) is Demand.EQUAL


class Recorded(nn.Identity):
    """Fails where it sees every pair of pixels."""

    def cov(self, k):
        assert k.demand is Demand.EQUAL
        return k


def test_pairs_that_nothing_needs_any_more_are_dropped():
    x = images((5, 4))
    inner = nn.Serial(nn.Serial(nn.Conv(4, 3), nn.AvgPool(2)), Recorded(), nn.Conv(4, 1), Recorded(), nn.Flatten())
    assert wf.Kernel(inner).ntk(x).shape == (3, 3)


def test_pooling_without_every_pair_is_refused():
    class Careless(nn.Identity):
        def demand(self, need):
            return Demand.EQUAL

    with pytest.raises(ValueError, match="wanted the covariance of every pair of pixels"):
        wf.Kernel(nn.Serial(nn.Conv(4, 3), Careless(), nn.GlobalAvgPool()))(images((5, 4)))


def test_pooling_keeps_gaussian_channels_gaussian():
    x = images((5, 4))
    kernel = wf.Kernel(nn.Serial(nn.Conv(4, 3), nn.AvgPool(2), nn.Relu(), nn.Flatten()))
    assert np.all(np.isfinite(kernel.ntk(x)))
    with pytest.raises(ValueError, match="must be Gaussian"):
        wf.Kernel(nn.Serial(nn.Conv(4, 3), nn.Relu(), nn.AvgPool(2), nn.Relu()))(x)
