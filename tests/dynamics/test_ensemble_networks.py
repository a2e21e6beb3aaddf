"""Ensembles jointly over times against networks of finite width, trained step by step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wideflow import Ensemble, GradientDescent, Kernel, nn
from wideflow.finite import EnsembleTraining

WIDTH, D = 1024, 5
NET = nn.Serial(nn.Dense(WIDTH, 1.3, 0.3), nn.Erf(), nn.Dense(1, 1.2, 0.2))
RNG = np.random.default_rng(2)
X = RNG.standard_normal((D + 3, 3))
Y = RNG.standard_normal((D, 1))
KERNEL = Kernel(NET)
LR, STEPS, RIDGE = 1.5, (0, 3, 30, 200), 0.2
PROBES = X[[0, *range(D, D + 3)]]  # a training point and the others


def predicted(kind, ridge):
    """Mean `[m]` and covariance `[m, m]` jointly over times and probes."""
    times = LR * np.array(STEPS)
    g = Ensemble(KERNEL, X[:D], Y[:, 0], GradientDescent(LR), ridge=ridge).joint(PROBES, times, kind=kind)
    return g.mean.ravel(), g.cov.reshape(g.mean.size, g.mean.size)


def deviation(samples, mean, cov):
    """The largest error of means and covariances of `samples [S, m]`, in units of what is allowed.

    4.5 standard errors, and 10/width: the NTK fluctuates by 1/√width between networks, moments change by 1/width.
    """
    S, variance = len(samples), np.diagonal(cov)
    scale = np.sqrt(np.outer(variance, variance))
    of_mean = np.abs(samples.mean(0) - mean) / (4.5 * np.sqrt(variance / S) + 10 / WIDTH)
    of_cov = np.abs(np.cov(samples.T) - cov) / (4.5 * np.sqrt((scale**2 + cov**2) / S) + 10 / WIDTH)
    return max(of_mean.max(), of_cov.max())


def check(samples, kind, ridge, other):
    """The networks follow their own prediction, not that of the `other` kind, nor that of independent times."""
    samples = samples.reshape(len(samples), -1)
    mean, cov = predicted(kind, ridge)
    assert deviation(samples, mean, cov) < 1
    assert deviation(samples, *predicted(other, ridge)) > 1.5
    same_time = np.kron(np.eye(len(STEPS)), np.ones((len(PROBES),) * 2))
    assert deviation(samples, mean, cov * same_time) > 1.5


@pytest.mark.slow
def test_networks_vary_jointly_over_times_as_the_ntk_ensemble():
    training = EnsembleTraining(NET, GradientDescent(LR), STEPS, networks=1000, seed=4)
    check(training.run(X[:D], Y, PROBES).outputs, "ntk", 0.0, other="nngp")


@pytest.mark.slow
def test_networks_with_an_untrained_random_function_are_draws_of_the_posterior_of_the_ntk():
    """NTKGP-param of He et al. 2020: f + J θ* with θ* of the readout zero, noisy targets, decay towards the start."""
    samples = np.asarray(jax.lax.map(member, jax.random.split(jax.random.key(7), 1000), batch_size=20))
    check(samples, "ntkgp", RIDGE, other="ntk")


@jax.jit
def member(key):
    """Outputs on the probes of one network at all steps, `[T, n]`."""
    x, y, probes = (jnp.asarray(v, jnp.float32) for v in (X[:D], Y, PROBES))
    keys = jax.random.split(key, 3)
    start = NET.init(keys[0], x)
    fixed = (*NET.init(keys[1], x)[:-1], jax.tree.map(jnp.zeros_like, start[-1]))
    noisy = y + jnp.sqrt(jnp.float32(RIDGE)) * jax.random.normal(keys[2], y.shape)

    def f(params, x):
        return NET.apply(params, x) + jax.jvp(lambda p: NET.apply(p, x), (start,), (fixed,))[1]

    def loss(params):
        moved = jax.tree.map(jnp.subtract, params, start)
        decay = sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(moved))
        return (jnp.sum((f(params, x) - noisy) ** 2) + jnp.float32(RIDGE) * decay) / (2 * D)

    def descend(params, _):
        return jax.tree.map(lambda p, g: p - jnp.float32(LR) * g, params, jax.grad(loss)(params)), None

    params, outputs = start, [f(start, probes)[:, 0]]
    for steps in np.diff(STEPS):
        params = jax.lax.scan(descend, params, length=int(steps))[0]
        outputs.append(f(params, probes)[:, 0])
    return jnp.stack(outputs)
