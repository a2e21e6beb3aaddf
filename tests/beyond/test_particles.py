"""Particles: the same training as the library's networks, drifts, thermal equilibrium, and fluctuations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import wideflow as wf
from wideflow import nn
from wideflow.beyond import ParticleNetwork, ParticleTraining, QuadraticUnits, fit_slope

X = np.random.default_rng(0).standard_normal((6, 3))
Y = np.random.default_rng(1).standard_normal(6)
WIDTHS = [32, 64, 128, 256]


def tanh_unit(theta, x):
    return theta[0] * jnp.tanh(theta[1:] @ x)


def linear_unit(theta, x):
    return theta @ x


@pytest.mark.parametrize("exponent", [0.5, 0.8, 1.0])
def test_particles_train_as_the_network_with_this_exponent(exponent, x64):
    n, lr, steps = 7, 0.2, 30
    abc = nn.ABC((0, None, exponent), (0, None, 0), 1 - 2 * exponent)
    net = wf.reparameterize(nn.Serial(nn.Dense(n), nn.Tanh(), nn.Dense(1)), abc, X)
    x, y = jnp.asarray(X), jnp.asarray(Y)[:, None]
    params = net.init(jax.random.key(0), x)
    theta = np.concatenate([np.asarray(params[2]["W"]), np.asarray(params[0]["W"]).T], axis=1)
    for _ in range(steps):
        g = jax.grad(lambda p: jnp.sum((net.apply(p, x) - y) ** 2) / 12)(params)
        rates = nn.learning_rates(net, params)
        params = jax.tree.map(lambda p, r, g: p - lr * r * g, params, rates, g)
    network = ParticleNetwork(tanh_unit, exponent)
    path = ParticleTraining(network, lr, [0, steps]).descend(theta, X, Y)
    before, after = (network.apply(jnp.asarray(t), x) for t in path.theta)
    assert np.abs(after - before).max() > 0.05
    np.testing.assert_allclose(after, net.apply(params, x)[:, 0], rtol=1e-9, atol=1e-12)


def test_particles_drift_by_the_width_to_the_exponent_minus_one():
    for exponent, other in ((0.5, 0.0), (0.75, -0.5), (1.0, -0.5)):
        drifts = []
        for n in WIDTHS:
            row = []
            for seed in range(8):
                half = np.random.default_rng([seed, n]).standard_normal((n // 2, 4))
                twins = half * np.array([-1, 1, 1, 1])  # the output starts at zero
                training = ParticleTraining(ParticleNetwork(tanh_unit, exponent), 0.1, [0, 10])
                row.append(training.descend(np.concatenate([half, twins]), X, Y).drift[-1])
            drifts.append(row)
        slope = fit_slope(WIDTHS, drifts).widened(0.02)
        assert slope.contains(exponent - 1)
        assert not slope.contains(other)


def test_flow_is_the_limit_of_small_steps():
    theta = np.random.default_rng(2).standard_normal((5, 4))
    network = ParticleNetwork(tanh_unit)
    flow = ParticleTraining(network, 0.5, [0, 1, 4]).flow(theta, X, Y).theta
    errors = [
        np.abs(ParticleTraining(network, 0.5 / k, [0, k, 4 * k]).descend(theta, X, Y).theta - flow).max()
        for k in (50, 100)
    ]
    assert errors[0] < 0.01
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.1)


def test_one_pass_descent_of_quadratic_units_follows_their_matrix_equation():
    d, teacher = 3, np.diag([1.0, 0.5, 0.2])

    def sample(key, batch):
        x = jax.random.normal(key, (batch, d))
        return x, jnp.einsum("ni,ij,nj->n", x, jnp.asarray(teacher), x)

    weights = np.random.default_rng(3).standard_normal((40, d))
    network = ParticleNetwork(lambda w, x: (w @ x) ** 2)
    training = ParticleTraining(network, 5e-4, [200, 1000])
    path = training.one_pass(weights, sample, batch=50)
    units = QuadraticUnits(teacher)
    seen = np.array([units.matrix(theta) for theta in path.theta])
    np.testing.assert_allclose(seen, units.path(units.matrix(weights), path.times), atol=0.03)
    assert np.linalg.norm(units.matrix(weights) - seen[-1]) > 0.5


def test_noise_and_decay_give_the_spread_of_their_linear_equation():
    temperature, decay, n, step = 0.3, 0.8, 4000, 0.02
    theta = 2.0 * np.random.default_rng(4).standard_normal((n, 3))
    training = ParticleTraining(ParticleNetwork(linear_unit), step, [20, 400], temperature, decay)
    path = training.descend(theta, X, Y)
    for steps, now in zip((20, 400), path.theta, strict=True):
        shrunk = (1 - step * decay) ** (2 * steps)
        kept = 2 * temperature * step * (1 - shrunk) / (1 - (1 - step * decay) ** 2)
        expected = theta.var(axis=0) * shrunk + kept
        np.testing.assert_allclose(now.var(axis=0), expected, rtol=5 * (2 / n) ** 0.5)
    covariance = X.T @ X / len(X)
    mean = np.linalg.solve(covariance + decay * np.eye(3), X.T @ Y / len(X))  # at rest
    np.testing.assert_allclose(path.theta[-1].mean(axis=0), mean, atol=0.05)


def test_noisy_particles_come_to_rest_in_their_own_potential():
    temperature, decay, n = 0.2, 0.5, 8000
    x = np.linspace(-2, 2, 9)[:, None]
    y = np.tanh(2 * x[:, 0])
    unit = lambda theta, x: jnp.tanh(3 * theta[0] * x[0])  # noqa: E731
    theta = np.random.default_rng(5).standard_normal((n, 1))
    network = ParticleNetwork(unit)
    end = ParticleTraining(network, 0.02, [1500], temperature, decay).descend(theta, x, y).theta[-1, :, 0]
    error = np.tanh(3 * np.outer(x[:, 0], end)).mean(axis=1) - y
    grid = np.linspace(-4, 4, 801)
    potential = error @ np.tanh(3 * np.outer(x[:, 0], grid)) / len(x) + decay * grid**2 / 2
    gibbs = np.exp(-potential / temperature)
    gibbs /= gibbs.sum()
    for moment in (1, 2):
        assert np.mean(end**moment) == pytest.approx(gibbs @ grid**moment, abs=0.03)
    assert abs(gibbs @ grid) > 0.1  # the targets broke the symmetry


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ParticleNetwork(linear_unit, np.inf), "exponent must be finite"),
        (lambda: ParticleTraining(ParticleNetwork(linear_unit), 0.0, [1]), "step must be positive"),
        (lambda: ParticleTraining(ParticleNetwork(linear_unit), 0.1, [2, 1]), "ascending"),
        (lambda: ParticleTraining(ParticleNetwork(linear_unit), 0.1, [1], -1.0), "temperature must be at least 0"),
        (
            lambda: ParticleTraining(ParticleNetwork(linear_unit), 0.1, [1]).descend(X[0], X, Y),
            "wanted finite particles",
        ),
        (lambda: ParticleTraining(ParticleNetwork(linear_unit), 0.1, [1]).descend(X, X, Y[:2]), "wanted inputs x"),
        (lambda: ParticleTraining(ParticleNetwork(linear_unit), 0.1, [1], 0.1).flow(X, X, Y), "no noise"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
