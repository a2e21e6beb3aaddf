"""The largest learning rate that trains: against the exact map, and where theory puts it."""

import os

import jax
import numpy as np
import pytest

from wideflow import datasets, nn
from wideflow.beyond import BoundarySearch, LinearNetwork
from wideflow.dynamics import GradientDescent, HeavyBall, batch_order


def ones(outputs=1):
    return np.ones((1, 1)), np.zeros((1, outputs))


def test_boundary_of_a_linear_network_is_that_of_its_exact_map(x64):
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((8, 5)), rng.standard_normal((8, 1))
    net = nn.Serial(nn.Dense(100), nn.Dense(1))
    params = net.init(jax.random.key(1), x)
    exact = LinearNetwork.from_network(net, params, x, y)
    found = BoundarySearch(steps=100, low=2, high=8, tolerance=0.02).run(net.apply, params, x, y)
    np.testing.assert_allclose(found.lam0, exact.curvature, rtol=1e-6)
    diverged = [exact.run(c / found.lam0, 100, every=100).diverged for c in found.c]
    np.testing.assert_array_equal(found.diverged, diverged)
    assert found.high / found.low < 1.02
    assert found.c[found.diverged].min() == found.high
    assert np.all(np.diff(found.c) > 0)


def test_boundary_of_minibatch_descent_is_that_of_numpy(x64):
    rng = np.random.default_rng(5)
    x, y = rng.standard_normal((6, 4)), rng.standard_normal((6, 1))
    net = nn.Serial(nn.Dense(30), nn.Dense(1))
    params = net.init(jax.random.key(2), x)
    found = BoundarySearch(steps=60, low=1, high=16, tolerance=0.1, batch=2, seed=4).run(net.apply, params, x, y)
    order = batch_order(6, 2, 61, 4)

    def overflows(lr):
        W, a = (np.asarray(p["W"], np.float64) for p in params)
        for batch in order:
            r = x[batch] @ W @ a / np.sqrt(4 * 30) - y[batch]
            if not np.isfinite(r**2).all():
                return True
            up = x[batch].T @ r @ a.T, (x[batch] @ W).T @ r
            W, a = (p - lr * g / np.sqrt(4 * 30) / 2 for p, g in zip((W, a), up, strict=True))
        return False

    with np.errstate(over="ignore", invalid="ignore"):
        np.testing.assert_array_equal(found.diverged, [overflows(c / found.lam0) for c in found.c])
    full = BoundarySearch(steps=60, low=1, high=16, tolerance=0.1).run(net.apply, params, x, y)
    assert found.high <= full.low  # single batches have larger eigenvalues than all points together


def test_one_example_has_its_boundary_at_four_whatever_the_width():
    x, y = ones()
    for width in (64, 1024):
        net = nn.Serial(nn.Dense(width), nn.Dense(1))
        found = BoundarySearch(steps=200, low=3, high=5, tolerance=0.03).run(
            net.apply, net.init(jax.random.key(2), x), x, y
        )
        assert found.low < 4.01
        assert found.high > 3.99
        assert "diverges first between" in str(found)


def quadratic(params, x):
    return params["v"][None, :] * x


@pytest.mark.parametrize(("rule", "limit"), [(GradientDescent(), 2.0), (HeavyBall(momentum=0.5), 3.0)])
def test_linear_models_diverge_where_their_rule_does(rule, limit):
    params = {"v": np.ones(1, np.float32)}
    found = BoundarySearch(rule=rule, steps=2000, low=1.0, high=4.0, tolerance=0.02).run(quadratic, params, *ones())
    assert found.low < 1.02 * limit
    assert limit < found.high < 1.1 * limit


def test_ends_of_the_range_and_slow_runs_are_reported():
    params = {"v": np.ones(1, np.float32)}
    none = BoundarySearch(steps=50, low=0.1, high=1.0).run(quadratic, params, *ones())
    assert (none.low, none.high) == (1.0, np.inf)
    every = BoundarySearch(steps=200, low=10.0, high=20.0).run(quadratic, params, *ones())
    assert (every.low, every.high) == (0.0, 10.0)
    slow = BoundarySearch(steps=30, low=1.0, high=2.5).run(quadratic, params, *ones())
    assert slow.high == np.inf
    assert np.all(slow.unsettled > 2)
    assert "not settled" in str(slow)
    with pytest.raises(ValueError, match="0 < low < high"):
        BoundarySearch(low=3.0, high=2.0)


@pytest.mark.slow
@pytest.mark.parametrize("width", [512, 2048])
def test_relu_networks_train_far_beyond_four_on_images_and_not_on_isotropic_inputs(width):
    """Units that see a common half-space die and take the curvature with them; isotropic inputs have no such."""
    data = datasets.load("digits")
    two = np.flatnonzero(np.asarray(data.y) < 2)[:64]
    pictures = data.x[two].reshape(64, -1) / 16.0
    rng = np.random.default_rng(0)
    relu = nn.Serial(nn.Dense(width, w=2**0.5), nn.Relu(), nn.Dense(1))
    linear = nn.Serial(nn.Dense(width), nn.Dense(1))
    tasks = {
        "images": (pictures, np.where(np.asarray(data.y)[two] == 0, -1.0, 1.0)[:, None]),
        "isotropic": (rng.standard_normal((32, 32)), np.sign(rng.standard_normal((32, 1)))),
    }
    found = {
        (kind, name): BoundarySearch(steps=200, high=20.0).run(net.apply, net.init(jax.random.key(0), x), x, y)
        for kind, net in (("relu", relu), ("linear", linear))
        for name, (x, y) in tasks.items()
    }
    assert found["relu", "images"].low > 10
    assert 3.5 < found["relu", "isotropic"].low < 6.5
    assert 3.7 < found["linear", "images"].low < 4.3
    assert 3.7 < found["linear", "isotropic"].low < 5.3
    survivors = found["relu", "images"]
    assert survivors.peak[survivors.c > 10].max() > 1e3  # large, and no divergence
    assert survivors.final[survivors.c < 12].max() < 0.05  # and they learn


@pytest.mark.slow
@pytest.mark.skipif("WIDEFLOW_DATA" not in os.environ, reason="wants MNIST in the folder that WIDEFLOW_DATA names")
def test_boundary_on_photographed_digits_is_four_for_linear_networks_and_far_above_for_relu():
    data = datasets.load("mnist")
    two = np.flatnonzero(np.isin(np.asarray(data.y), (3, 8)))[:40]
    x = np.asarray(data.x[two], np.float64).reshape(40, -1)
    x, y = (x / x.max()).astype(np.float32), np.where(np.asarray(data.y)[two] == 3, -1.0, 1.0)[:, None]
    relu = nn.Serial(nn.Dense(700, w=2**0.5), nn.Relu(), nn.Dense(1))
    linear = nn.Serial(nn.Dense(700), nn.Dense(1))
    search = BoundarySearch(steps=150, high=16.0)
    found, exact = (search.run(net.apply, net.init(jax.random.key(4), x), x, y) for net in (relu, linear))
    assert (x >= 0).all()
    assert found.low > 8
    assert found.peak[found.c > 8].max() > 100
    assert 3.7 < exact.low < 4.4
