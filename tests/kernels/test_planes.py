"""Pooled networks one plane of pixel pairs at a time, against the covariance of every pair at once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import wideflow as wf
from wideflow import nn
from wideflow.kernels.kernel import _kernels
from wideflow.kernels.planes import keeps_planes, pooled


def body(padding):
    block = nn.Residual(nn.Erf(), nn.Conv(4, 3, padding=padding), nn.LayerNorm(), nn.Relu(), nn.Conv(4, 2, 0.7, 0.2))
    first = nn.Conv(4, 3, 1.2, 0.3, padding=padding)
    return nn.Serial(first, nn.Relu(), nn.Conv(4, (3, 2), 1.1, dilation=(2, 1), padding=padding), block, nn.Relu())


NETWORKS = {
    "same": nn.Serial(body("same"), nn.GlobalAvgPool(), nn.Dense(1, 1.2, 0.1)),
    "circular": nn.Serial(nn.Conv(4, 3, 1.4, padding="circular"), nn.Relu(), nn.GlobalSumPool(), nn.Dense(1)),
    "flat": nn.Serial(*[nn.Conv(4, 3, 1.4), nn.Relu()] * 3, nn.Flatten(), nn.Dense(1, 1.1, 0.2)),
    "no bias": nn.Serial(*[nn.Conv(4, 3, 1.4), nn.Relu()] * 4, nn.GlobalAvgPool(), nn.Dense(5), nn.Dense(1)),
}


FAST = ("circular", "flat")  # the others take long to compile
NETWORK_PARAMS = [
    pytest.param(net, id=name, marks=[] if name in FAST else pytest.mark.slow) for name, net in NETWORKS.items()
]


def images(seed=0):
    """Six images; one constant below, one half black, one the opposite of another, two with equal saturated parts."""
    x = np.random.default_rng(seed).standard_normal((6, 6, 5, 2))
    x[1, 3:], x[2, :3], x[3] = 0.5, 0, -2 * x[0]
    x[4:] = 0
    x[4, :, 1:], x[5, 2:, :4] = 1, 1  # patches that are proportional by another factor than the images
    return x


@pytest.mark.parametrize("net", NETWORK_PARAMS)
def test_planes_give_the_kernels_of_every_pair(net, x64):
    x1, x2 = images(), np.concatenate([images(), images(1)])[1:6]
    parts = pooled(net)
    assert parts is not None
    expected = _kernels(net, jnp.asarray(x1), jnp.asarray(x2))
    for value, right in zip(parts.kernels(jnp.asarray(x1), jnp.asarray(x2), 2**18), expected, strict=True):
        np.testing.assert_allclose(value, right, rtol=1e-12)


SIZES = {
    "window larger than the image": ((nn.Conv(4, 5, 1.2, 0.1), nn.Relu()), (3, 2, 2), 2**18),
    "sequences": ((nn.Conv(4, 4, 1.2), nn.Relu(), nn.Conv(4, 3, dilation=3), nn.Erf()), (7, 6), 1),
    "three axes": ((nn.Conv(4, 3), nn.RMSNorm(over="all"), nn.Relu()), (3, 2, 4, 1), 1),
}


@pytest.mark.parametrize("name", [next(iter(SIZES)), *(pytest.param(n, marks=pytest.mark.slow) for n in [*SIZES][1:])])
def test_planes_of_any_size_go_alone_or_together(name, x64):
    layers, shape, at_once = SIZES[name]
    x1, x2 = (jnp.asarray(np.random.default_rng(n).standard_normal((n, *shape))) for n in (3, 2))
    net = nn.Serial(*layers, nn.GlobalAvgPool(), nn.Dense(1))
    parts = pooled(net)
    assert parts is not None
    for value, right in zip(parts.kernels(x1, x2, at_once), _kernels(net, x1, x2), strict=True):
        np.testing.assert_allclose(value, right, rtol=1e-12)


@pytest.mark.slow
def test_many_images_take_planes_in_tiles_and_few_do_not():
    x = np.random.default_rng(3).standard_normal((12, 16, 16, 2)).astype(np.float32)
    kernel = wf.Kernel(NETWORKS["no bias"])
    K = kernel(x)
    with jax.enable_x64(True):
        few = jnp.asarray(x[[0, 11]], jnp.float64)
        expected = jax.tree.map(np.asarray, _kernels(kernel.net, few, None))
    for value, right in zip(K, expected, strict=True):
        value = np.asarray(value)
        np.testing.assert_array_equal(value, value.T)
        np.testing.assert_allclose(value[np.ix_([0, 11], [0, 11])], right, rtol=3e-6)
    np.testing.assert_allclose(wf.gram(kernel, x, tile=7), K.ntk, rtol=1e-5)


@pytest.mark.slow
def test_many_flat_images_are_computed_in_tiles():
    x = np.random.default_rng(4).standard_normal((70, 16, 16, 2)).astype(np.float32)
    kernel = wf.Kernel(nn.Serial(nn.Conv(4, 3, 1.2, 0.1), nn.Relu(), nn.Flatten(), nn.Dense(1)))
    K, some = kernel(x), [0, 31, 69]
    for value, right in zip(K, kernel(x[some].astype(np.float64)), strict=True):
        value = np.asarray(value)
        assert value.shape == (70, 70)
        np.testing.assert_array_equal(value, value.T)
        np.testing.assert_allclose(value[np.ix_(some, some)], right, rtol=2e-6)


def test_only_networks_whose_planes_stay_apart_are_taken():
    assert pooled(nn.Serial(nn.Conv(4, 3, stride=2), nn.Relu(), nn.GlobalAvgPool(), nn.Dense(1))) is None
    assert pooled(nn.Serial(nn.Conv(4, 3, padding="valid"), nn.Relu(), nn.GlobalAvgPool())) is None
    assert pooled(nn.Serial(nn.Conv(4, 3), nn.AvgPool(2), nn.Relu(), nn.GlobalAvgPool())) is None
    assert pooled(nn.Serial(nn.Conv(4, 3), nn.GlobalAvgPool(), nn.Dense(3), nn.Relu(), nn.Dense(1))) is None
    assert not keeps_planes(nn.ConvLocal(4, 3))
