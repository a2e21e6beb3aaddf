import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wideflow import nn
from wideflow.beyond import WidthFamily, hierarchy_scaling

rng = np.random.default_rng(0)
X = rng.standard_normal((2, 3))
X /= np.sqrt((X**2).mean(axis=1, keepdims=True))
Y = np.array([1.0, -0.5])


def test_sub_network_is_the_network_of_its_width(x64):
    net = nn.Serial(nn.Dense(8, w=1.2, b=0.3), nn.Tanh(), nn.Dense(8, w=1.1), nn.Tanh(), nn.Dense(1, w=0.9, b=0.2))
    family, x = WidthFamily(net), jnp.asarray(X)
    params, mask = family.init(jax.random.key(0), x, 3)
    small = nn.Serial(nn.Dense(3, w=1.2, b=0.3), nn.Tanh(), nn.Dense(3, w=1.1), nn.Tanh(), nn.Dense(1, w=0.9, b=0.2))
    first, _, second, _, last = params
    cut = (
        {"W": first["W"][:, :3], "B": first["B"][:3]},
        (),
        {"W": second["W"][:3, :3]},
        (),
        {"W": last["W"][:3], "B": last["B"]},
    )
    value, slopes = jax.jit(jax.value_and_grad(lambda p: family.apply((p, mask), x).sum()))(params)
    wanted, small_slopes = jax.jit(jax.value_and_grad(lambda p: small.apply(p, x).sum()))(cut)
    np.testing.assert_allclose(value, wanted, rtol=1e-12)
    for found, exact in zip(jax.tree.leaves(slopes), jax.tree.leaves(small_slopes), strict=True):
        kept = tuple(slice(n) for n in exact.shape)
        np.testing.assert_allclose(found[kept], exact, rtol=1e-11)
        assert np.count_nonzero(found) == exact.size  # units that are off do not learn


def test_velocity_falls_as_one_over_the_width_and_its_count_without_signs_as_a_root():
    net = nn.Serial(nn.Dense(256), nn.Tanh(), nn.Dense(1))
    found = hierarchy_scaling(net, X, Y, [1, 32, 64, 128, 256], order=3, seeds=200)
    np.testing.assert_allclose(found.naive[0], found.velocity[0], rtol=1e-9)  # one unit has nothing to cancel with
    found = type(found)(
        found.widths[1:], {s: v[1:] for s, v in found.tensors.items()}, found.velocity[1:], found.naive[1:]
    )
    for slope in (found.slope(3), found.velocity_slope):
        assert slope.widened(0.05).contains(-1)
        assert not slope.widened(0.05).contains(-0.5)
    assert found.naive_slope.widened(0.05).contains(-0.5)
    assert not found.naive_slope.widened(0.05).contains(-1)
    assert "O_3" in str(found)


@pytest.mark.slow
def test_readout_weights_with_a_mean_reach_the_bound():
    net = nn.Serial(nn.Dense(256), nn.Softplus(), nn.Dense(1))
    found = hierarchy_scaling(net, X, Y, [32, 64, 128, 256], order=3, seeds=100, readout_mean=1.0)
    for slope in (found.slope(3), found.velocity_slope):
        assert slope.widened(0.05).contains(-0.5)
        assert not slope.widened(0.05).contains(-1)


@pytest.mark.slow
def test_tensors_fall_in_pairs_to_order_six():
    net = nn.Serial(nn.Dense(512), nn.Tanh(), nn.Dense(1))
    found = hierarchy_scaling(net, X, Y, [32, 64, 128, 256, 512], order=6, seeds=400)
    for order, exponent, tolerance in ((3, -1, 0.1), (4, -1, 0.1), (5, -2, 0.1), (6, -2, 0.3)):
        assert found.expected(order) == exponent
        assert found.slope(order).widened(tolerance).contains(exponent)
        assert abs(found.slope(order).value - exponent) < 0.3


@pytest.mark.slow
def test_velocity_falls_as_one_over_the_width_in_deep_networks():
    net = nn.Serial(nn.Dense(128), nn.Tanh(), nn.Dense(128), nn.Tanh(), nn.Dense(128), nn.Tanh(), nn.Dense(1))
    found = hierarchy_scaling(net, X, Y, [16, 32, 64, 128], order=3, seeds=100)
    assert found.naive is None
    assert found.velocity_slope.widened(0.1).contains(-1)
    assert not found.velocity_slope.widened(0.1).contains(-0.5)


def test_wrong_requests_are_refused():
    net = nn.Serial(nn.Dense(8), nn.Tanh(), nn.Dense(1))
    with pytest.raises(ValueError, match="order of at least 3"):
        hierarchy_scaling(net, X, Y, [2, 4, 6, 8], order=2)
    with pytest.raises(ValueError, match="from 1 to 8"):
        hierarchy_scaling(net, X, Y, [4, 6, 8, 16])
    with pytest.raises(ValueError, match="one width"):
        hierarchy_scaling(nn.Serial(nn.Dense(8), nn.Tanh(), nn.Dense(4), nn.Tanh(), nn.Dense(1)), X, Y, [2, 4, 6, 8])
