"""Sharpness along training: against Hessians formed in full, and where it settles."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import wideflow as wf
from wideflow import datasets, nn
from wideflow.beyond import EdgeOfStability
from wideflow.dynamics import GradientDescent, HeavyBall, Nesterov

RNG = np.random.default_rng(7)
X, Y = RNG.standard_normal((5, 2)), RNG.standard_normal((5, 1))
WEIGHTS = {"in": RNG.standard_normal((2, 4)), "out": RNG.standard_normal((4, 1))}


def network(params, x):
    return jnp.tanh(x @ params["in"]) @ params["out"]


@pytest.mark.parametrize("rule", [GradientDescent(0.2), HeavyBall(0.1, 0.7), Nesterov(0.1, 0.7)], ids=repr)
def test_sharpness_and_losses_are_those_of_the_rule_written_out(rule, x64):
    theta, unravel = ravel_pytree(jax.tree.map(jnp.asarray, WEIGHTS))
    loss = jax.jit(lambda t: jnp.sum((network(unravel(t), jnp.asarray(X)) - Y) ** 2) / 10)
    slope, hessian = jax.jit(jax.grad(loss)), jax.jit(jax.hessian(loss))
    path = EdgeOfStability(rule, steps=12, records=4).run(network, WEIGHTS, X, Y)
    assert path.steps.tolist() == [0, 4, 8, 12]
    beta, previous, sharpness, losses = getattr(rule, "momentum", 0.0), theta, [], []
    for t in range(13):  # with Polyak's and Nesterov's own recursions in positions
        if t in path.steps:
            sharpness.append(np.linalg.eigvalsh(hessian(theta))[-1])
        ahead = theta + beta * (theta - previous)
        at = ahead if isinstance(rule, Nesterov) else theta
        losses.append(float(loss(at)))
        theta, previous = ahead - rule.lr * slope(at), theta
    np.testing.assert_allclose(path.sharpness, sharpness, rtol=1e-5)
    np.testing.assert_allclose(path.losses, losses[:12], rtol=1e-10)
    assert path.rises == int(np.sum(np.diff(losses[:12]) > 0))


def test_thresholds_are_those_of_the_rules():
    runs = [
        EdgeOfStability(rule, 2, records=2).run(network, WEIGHTS, X, Y)
        for rule in (GradientDescent(0.1), HeavyBall(0.1, 0.9), Nesterov(0.1, 0.9))
    ]
    np.testing.assert_allclose([run.threshold for run in runs], [20, 38, 2 * 1.9 / 2.8 / 0.1], rtol=1e-12)
    assert "stable below 20" in str(runs[0])


def test_divergence_is_infinite_and_impossible_options_are_refused():
    path = EdgeOfStability(GradientDescent(50.0), 60, records=3).run(
        lambda p, x: x @ p["w"], {"w": np.ones((2, 1))}, X, Y
    )
    assert path.sharpness[-1] == np.inf
    assert path.losses[-1] == np.inf
    assert path.reached is None
    with pytest.raises(ValueError, match="2 records"):
        EdgeOfStability(GradientDescent(0.1), records=1)
    with pytest.raises(TypeError, match="which go in steps"):
        EdgeOfStability(wf.GradientFlow())


@pytest.mark.slow
@pytest.mark.parametrize("rule", [GradientDescent(0.3), HeavyBall(0.4, 0.5), Nesterov(0.2, 0.9)], ids=repr)
def test_sharpness_rises_to_the_edge_of_its_rule_and_stays(rule):
    data = datasets.load("digits")
    x = data.x[:200].reshape(200, -1) / 16.0
    x, y = x - x.mean(axis=0), np.eye(10)[np.asarray(data.y[:200]).astype(int)] - 0.1
    net = nn.Serial(nn.Dense(64), nn.Tanh(), nn.Dense(64), nn.Tanh(), nn.Dense(10))
    net = wf.reparameterize(net, "standard", x)
    path = EdgeOfStability(rule, 1500, records=16).run(net.apply, net.init(jax.random.key(0), x), x, y)
    assert path.ratio[0] < 0.7
    assert path.reached is not None
    assert np.abs(path.ratio[path.steps >= 1000] - 1).max() < 0.1
    # thresholds of the other rules are elsewhere
    beta = getattr(rule, "momentum", 0.9)
    other = 2 / rule.lr if beta and not isinstance(rule, GradientDescent) else 2 * (1 + beta) / rule.lr
    assert np.abs(path.sharpness[-1] / other - 1) > 0.25
    assert path.rises > 50
    assert path.losses[-1] < path.losses[0] / 10
