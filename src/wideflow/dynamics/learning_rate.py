"""The largest stable learning rate."""

from typing import Any

import numpy as np

from .extremes import extremes
from .operator import Operator, as_operator
from .rule import GradientDescent, Rule
from .solver import DENSE_POINTS
from .spectrum import checked_symmetric


def max_learning_rate(ntk_train: Any, rule_or_momentum: Rule | float = 0.0) -> float:
    """The learning rate above which training by square loss diverges in the kernel regime.

    2/λ_max for gradient descent and 2(1 + β)/λ_max for heavy-ball momentum β, with λ_max the largest eigenvalue of
    Θ/D: the loss is L = 1/(2D) Σ ‖f − y‖² over D training points. `ntk_train [D, D]`: Θ on the training points,
    without 1/D, of an infinite or a finite network; or an `Operator`, known by its products alone.
    `rule_or_momentum`: a rule (its own learning rate does not matter) or the momentum β in [0, 1).

    Errors: ValueError for a matrix that is not square, finite and symmetric, or a momentum outside [0, 1).
    Source: Lee et al. 2019, section 2.3; Polyak 1964.
    """
    lam_max = largest_eigenvalue(ntk_train) / len(ntk_train)
    if isinstance(rule_or_momentum, Rule):
        return rule_or_momentum.max_learning_rate(lam_max)
    beta = float(rule_or_momentum)
    if not 0 <= beta < 1:
        raise ValueError(f"max_learning_rate: momentum must be in [0, 1), got {beta}")
    return (1 + beta) * GradientDescent().max_learning_rate(lam_max)


def largest_eigenvalue(matrix: Any, name: str = "ntk_train") -> float:
    """The largest eigenvalue of a symmetric matrix or `Operator`, in float64.

    Of an operator, and of more than 8,000 points, an upper estimate from products: the largest Ritz value plus its
    residual, at most 1e-10 of it in most cases (see `extremes`), so that rates below the limit are stable.
    """
    from scipy.linalg import eigh

    if isinstance(matrix, Operator) or len(matrix) > DENSE_POINTS:
        ends = extremes(as_operator(matrix, name).checked())
        return ends.largest + ends.error
    matrix, _ = checked_symmetric(matrix, name)
    last = len(matrix) - 1
    value = eigh(matrix, eigvals_only=True, subset_by_index=[last, last], check_finite=False)
    return float(np.asarray(value)[0])
