"""The largest stable learning rate against NumPy and against training just below and above it."""

import numpy as np
import pytest

from oracles import training
from wideflow import GradientDescent, GradientFlow, max_learning_rate

D, P = 6, 9
J = np.random.default_rng(2).standard_normal((D, P))
THETA = J @ J.T
LIMIT = 2 * D / np.linalg.eigvalsh(THETA)[-1]


def test_limit_is_two_over_the_largest_eigenvalue_of_the_kernel_over_points():
    np.testing.assert_allclose(max_learning_rate(THETA), LIMIT, rtol=1e-13)
    np.testing.assert_allclose(max_learning_rate(THETA, GradientDescent(123.0)), LIMIT, rtol=1e-13)
    np.testing.assert_allclose(max_learning_rate(THETA.astype(np.float32)), LIMIT, rtol=1e-6)
    assert max_learning_rate(THETA, GradientFlow()) == np.inf
    assert max_learning_rate(np.zeros((2, 2))) == np.inf


def last_loss(lr, momentum=0.0, steps=1500):
    """After literal training of a linear model, heavy ball: v ← βv + g, θ ← θ − lr v."""
    theta, v = np.zeros((P, 1)), np.zeros((P, 1))
    y = np.ones((D, 1))
    for _ in range(steps):
        v = momentum * v + training.slope(J, theta, np.zeros((P, 1)), np.zeros((D, 1)), y, 0.0)
        theta = theta - lr * v
    return float(np.sum((J @ theta - y) ** 2) / (2 * D))


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_training_converges_just_below_the_limit_and_diverges_just_above(momentum):
    limit = max_learning_rate(THETA, momentum)
    np.testing.assert_allclose(limit, (1 + momentum) * LIMIT, rtol=1e-13)
    assert last_loss(0.99 * limit, momentum) < 0.5
    assert last_loss(1.01 * limit, momentum) > 1e3


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"momentum must be in \[0, 1\), got 1.0"):
        max_learning_rate(THETA, 1.0)
    with pytest.raises(ValueError, match="wanted a square matrix"):
        max_learning_rate(np.ones((2, 3)))
    with pytest.raises(ValueError, match="holds NaN or infinity, first in row 0"):
        max_learning_rate(np.full((2, 2), np.nan))
