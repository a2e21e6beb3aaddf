"""One linear model, and a row for every loss: the object, targets as a user gives them, and both in NumPy."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from oracles import losses
from wideflow import dynamics as dy

D, M, P, OUT = 7, 4, 11, 3
RNG = np.random.default_rng(5)
J = RNG.standard_normal((D + M, P))
THETA = J @ J.T
F0 = RNG.standard_normal((D + M, OUT))
NUMBERS = 2 * RNG.standard_normal((D, OUT))
LABELS = np.array([0, 1, 2, 0, 1, 2, 1])
SIGNS = np.where(RNG.standard_normal((D, OUT)) > 0, 1, -1)


class Case(NamedTuple):
    loss: dy.Loss
    targets: np.ndarray
    numbers: np.ndarray
    gradient: object


def _log_cosh(f, y):
    return jnp.sum(jnp.log(jnp.cosh(f - y)))


CASES = {
    "square": Case(dy.SquareLoss(), NUMBERS, NUMBERS, losses.square),
    "cross-entropy": Case(dy.SoftmaxCrossEntropy(), LABELS, np.eye(OUT)[LABELS], losses.cross_entropy),
    "logistic": Case(dy.LogisticLoss(), SIGNS, SIGNS, losses.logistic),
    "huber": Case(dy.HuberLoss(0.8), NUMBERS, NUMBERS, losses.huber),
    "custom": Case(dy.CustomLoss(_log_cosh, bound=1.0), NUMBERS, NUMBERS, losses.log_cosh),
}


def outputs(changes, J=J, f0=F0):
    """Outputs for a path of changes of the parameters, `[T, D + M, OUT]`."""
    return f0 + J @ changes
