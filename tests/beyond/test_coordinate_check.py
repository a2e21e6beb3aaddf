"""Coordinate checks and feasible rates: exponents of the theory, which steps of NumPy networks confirm elsewhere."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import wideflow as wf
from wideflow import nn
from wideflow.beyond import (
    CoordinateCheck,
    coordinate_check,
    critical_rate,
    learning_rate_scaling,
    preactivations,
    width_limit,
)

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((6, 4)).astype("f4"), RNG.standard_normal(6).astype("f4")
WIDTHS = [32, 64, 128, 256]
PLAIN_MEAN_FIELD = nn.ABC((0, None, 1), (0, None, 0), 0)


def family(rule, depth=1):
    def net(width):
        hidden = [layer for _ in range(depth) for layer in (nn.Dense(width), nn.Tanh())]
        return wf.reparameterize(nn.Serial(*hidden, nn.Dense(1)), rule, X)

    return net


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["mup", "ntk", nn.ABC((0, 0, 0), (0, 0.5, 0.5), 1)])
def test_layers_change_by_their_exponents(rule):
    limit = width_limit(rule, 2)
    check = coordinate_check(family(rule, 2), WIDTHS, (X, Y), (0.1, [1, 5]), networks=24)
    for layer, p in enumerate((*limit.layer_exponents, limit.output_exponent)):
        slope = check.slope(layer, 0).widened(0.06)  # corrections of order 1/width at 32
        assert slope.contains(-p)
        assert not slope.contains(-p - 0.5)
        assert not slope.contains(-p + 0.5)


def test_sizes_are_those_of_one_network_step_by_step():
    net = family("mup", 2)(32)
    check = coordinate_check(lambda _: net, [32], (X, Y), (0.1, [1]), networks=1)
    x = jnp.asarray(X)
    params = net.init(jax.random.fold_in(jax.random.key(32), 0), x)
    loss = lambda p: jnp.mean((net.apply(p, x)[:, 0] - Y) ** 2) / 2  # noqa: E731
    moved = jax.tree.map(lambda p, g: p - 0.1 * g, params, jax.grad(loss)(params))
    before, after = (preactivations(net, p, x) for p in (params, moved))
    changes = [np.sqrt(np.mean((b - a) ** 2)) for a, b in zip(before, after, strict=True)]
    np.testing.assert_allclose(check.change[0, 0, 0], changes, rtol=1e-3)
    np.testing.assert_allclose(check.initial[0, 0, 0], np.sqrt(np.mean(before[0] ** 2)), rtol=1e-5)
    assert [h.shape for h in before] == [(6, 32), (6, 32), (6, 1)]


def test_layers_inside_branches_and_repetitions_are_watched():
    block = nn.Residual(nn.Serial(nn.Dense(8), nn.Tanh(), nn.Dense(8)))
    net = nn.Serial(nn.Dense(8), nn.Repeat(block, 2), nn.Sum(nn.Dense(8), nn.Identity()), nn.Tanh(), nn.Dense(1))
    params = net.init(jax.random.key(3), jnp.asarray(X))
    seen = preactivations(net, params, jnp.asarray(X))
    assert [h.shape[-1] for h in seen] == [8] * 9 + [1]
    one, dense = params[1], nn.Dense(8)
    hidden = dense.apply(params[0], jnp.asarray(X))
    for i in range(2):  # two layers of the branch, then the sum
        inside = dense.apply(jax.tree.map(lambda leaf, i=i: leaf[i], one[0]), hidden)
        branch = dense.apply(jax.tree.map(lambda leaf, i=i: leaf[i], one[2]), jnp.tanh(inside))
        hidden = hidden + branch
        for found, wanted in zip(seen[1 + 3 * i : 4 + 3 * i], (inside, branch, hidden), strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(seen[-1], net.apply(params, jnp.asarray(X)), rtol=1e-5)


def test_verdicts_are_printed_for_every_layer():
    widths = np.array([8, 16, 32, 64])
    falls, flat = widths[:, None, None, None] ** -0.5, np.ones((4, 1, 1, 1))
    change = np.concatenate([falls, flat, 0 * flat], axis=-1) * np.ones((4, 5, 1, 1))
    said = str(CoordinateCheck(widths, np.array([3]), np.ones((4, 5, 3)), change))
    assert "-0.500 (-0.500 … -0.500): falls" in said
    assert "0.000 (0.000 … 0.000): flat" in said.replace("-0.000", "0.000")
    assert "none: the statistic must be positive" in said
    assert "none: wanted at least 4 different" in str(
        CoordinateCheck(widths[:2], np.array([3]), np.ones((2, 5, 3)), change[:2])
    )


@pytest.mark.parametrize(
    "rule",
    [
        "standard",
        pytest.param(PLAIN_MEAN_FIELD, marks=pytest.mark.slow),
        pytest.param("ntk", marks=pytest.mark.slow),
        pytest.param("mup", marks=pytest.mark.slow),
    ],
)
def test_feasible_rates_grow_by_their_exponent(rule):
    rates = learning_rate_scaling(family(rule), WIDTHS, X, Y, steps=40, networks=6)
    expected = width_limit(rule, 1).rate_exponent
    for slope in (rates.critical_slope.widened(0.08), rates.convergent_slope.widened(0.12)):
        assert slope.contains(expected)
        assert not slope.contains(expected + 0.5)
        assert not slope.contains(expected - 0.5)
    ratio = np.mean(rates.convergent / rates.critical)
    assert 1 < ratio < 3  # tanh networks survive a part of the catapult phase


def test_critical_rate_counts_all_outputs_together(x64):
    net = nn.Serial(nn.Dense(5), nn.Tanh(), nn.Dense(2))
    x = jnp.asarray(X, jnp.float64)
    params = net.init(jax.random.key(0), x)
    jacobian = jax.jacobian(lambda p: net.apply(p, x).ravel())(params)
    rows = np.concatenate([np.asarray(j).reshape(12, -1) for j in jax.tree.leaves(jacobian)], axis=1)
    assert critical_rate(net, params, x) == pytest.approx(2 * 6 / np.linalg.eigvalsh(rows @ rows.T)[-1], rel=1e-10)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: coordinate_check(family("ntk"), WIDTHS, (X, Y), (0.1, [2, 1])), "steps must be ascending"),
        (lambda: coordinate_check(family("ntk"), [8], (X, Y[:, None] @ np.ones((1, 2))), (0.1, [1])), "one shape"),
        (lambda: coordinate_check(family("standard"), [64], (X, Y), (50.0, [200]), 1), "diverged at width 64"),
        (lambda: learning_rate_scaling(family("ntk"), [8], X, networks=4).convergent_slope, "not asked for"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
