"""Two Gaussians: means over directions by sampling, the risk of drawn weights, and SGD in the full dimension."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wideflow.beyond import ParticleNetwork, ParticleTraining, TwoGaussians

D, DELTA = 12, 0.6


def ramp(z):
    return np.interp(z, [0.5, 1.5], [-2.5, 7.5])


def test_mean_over_directions_is_that_of_samples():
    directions = np.random.default_rng(0).standard_normal((400_000, D))
    u = directions[:, 0] / np.linalg.norm(directions, axis=1)
    task = TwoGaussians(ramp, D, DELTA)
    for q in (1.0, 3.0, 12.0):
        values = ramp(q * u)
        assert abs(values.mean() - task.direction_mean(q)) < 4.5 * values.std() / len(u) ** 0.5


def test_mean_over_directions_of_a_square_is_exact():
    np.testing.assert_allclose(TwoGaussians(np.square, D, DELTA).direction_mean([1.0, 2.0]), [1 / D, 4 / D], rtol=1e-12)


def test_risk_is_that_of_many_weights_and_samples():
    task, rng = TwoGaussians(ramp, D, DELTA), np.random.default_rng(1)
    w = rng.standard_normal((20_000, D)) * 0.9 / D**0.5
    y = rng.choice([-1.0, 1.0], 2000)
    x = rng.standard_normal((2000, D)) * (1 + DELTA * y)[:, None]
    f = np.mean([ramp(x @ part.T).mean(axis=1) for part in np.split(w, 20)], axis=0)
    losses = (f - y) ** 2 / 2
    risk = task.risk(task.initial_radii(0.9))
    assert abs(losses.mean() - risk) < 4.5 * losses.std() / len(y) ** 0.5 + 0.01


def test_velocity_is_minus_the_gradient_of_the_risk():
    task = TwoGaussians(np.tanh, 3, 0.5)  # odd: nothing moves in the mean over directions
    assert task.risk([1.0, 2.0]) == pytest.approx(0.5)
    task = TwoGaussians(ramp, 5, 0.5)
    radii = np.array([0.6, 1.1, 2.0])
    velocity = task._velocity(radii, task._table(8 * radii.max()))
    for i in range(3):
        step = np.eye(3)[i] * 1e-3
        slope = 3 * (task.risk(radii + step) - task.risk(radii - step)) / 2e-3
        assert velocity[i] == pytest.approx(-slope, rel=2e-3, abs=1e-4)


def test_descent_in_the_full_dimension_follows_the_radial_equation():
    task = TwoGaussians(ramp, D, DELTA)
    path = task.path(task.initial_radii(0.8), [0.2, 1.0, 3.0])
    assert np.all(np.diff(path.risk) < 0)

    def unit(w, x):
        return jnp.interp(w @ x, jnp.array([0.5, 1.5]), jnp.array([-2.5, 7.5]))

    def sample(key, batch):
        for_labels, for_inputs = jax.random.split(key)
        y = jnp.where(jax.random.bernoulli(for_labels, 0.5, (batch,)), 1.0, -1.0)
        return jax.random.normal(for_inputs, (batch, D)) * (1 + DELTA * y)[:, None], y

    weights = np.random.default_rng(2).standard_normal((400, D)) * 0.8 / D**0.5
    training = ParticleTraining(ParticleNetwork(unit), 0.01, [20, 100, 300])
    radii = np.linalg.norm(training.one_pass(weights, sample, batch=100).theta, axis=2)
    np.testing.assert_allclose(radii.mean(axis=1), path.radii.mean(axis=1), rtol=0.03)
    for seen, theory, risk in zip(radii, path.radii, path.risk, strict=True):
        assert np.abs(np.sort(seen)[::2] - theory).mean() < 0.05 * theory.mean()
        assert task.risk(seen) == pytest.approx(risk, abs=0.01)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: TwoGaussians(ramp, 1), "dimension of at least 2"),
        (lambda: TwoGaussians(ramp, 5, 1.0), "delta must be in"),
        (lambda: TwoGaussians(ramp, 5).path([1.0, -1.0], [1.0]), "positive finite"),
        (lambda: TwoGaussians(ramp, 5).path([1.0, 2.0], [1.0, 0.5]), "ascending"),
        (lambda: TwoGaussians(np.abs, 5, 0.5).path([0.01, 0.02], [50.0]), "grew beyond"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
