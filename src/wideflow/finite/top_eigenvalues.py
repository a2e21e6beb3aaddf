"""The largest eigenvalues of a symmetric matrix that is known by its products."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from ..dynamics.krylov import KrylovSpace, Ritz
from ..dynamics.operator import Operator


class TopEigenvalues(NamedTuple):
    """The largest eigenvalues `values [k]`, descending; an eigenvalue lies within `errors [k]` of each."""

    values: Float[np.ndarray, " k"]
    errors: Float[np.ndarray, " k"]


def top_eigenvalues(operator: Operator, count: int = 1, tolerance: float = 1e-6, steps: int = 100) -> TopEigenvalues:
    """The `count` largest eigenvalues, multiplicities included, by block Lanczos with full reorthogonalisation.

    Stops when every error is below `tolerance` times the largest eigenvalue in modulus, or after `steps` products with
    `count` vectors; `errors` say what was reached (residuals of the Ritz vectors, and rounding of the products), and
    the eigenvalues themselves are usually far closer. That they are the largest holds with probability one for the
    random start. Memory: 8 P bytes for each product, P the rows of the matrix.
    Errors: ValueError for a `count` outside 1 … P, and without steps.
    Source: Golub and Underwood 1977; Golub and Van Loan, section 10.3.
    """
    if not isinstance(operator, Operator):
        raise TypeError(
            f"top_eigenvalues: wanted an operator, got {type(operator).__qualname__}; MatrixOperator(matrix) of "
            "wideflow.dynamics makes one of a matrix"
        )
    if not isinstance(count, int | np.integer):
        raise TypeError(f"top_eigenvalues: count must be an integer, got {count!r}")
    if steps < 1:
        raise ValueError(f"top_eigenvalues: steps must be at least 1, got {steps}")
    if not 1 <= count <= len(operator):
        raise ValueError(f"top_eigenvalues: count must be in 1 … {len(operator)}, the rows of the matrix, got {count}")
    start = np.random.default_rng(0).standard_normal((len(operator), count))
    space = KrylovSpace(operator, start)
    ritz = _grown(space)
    for _ in range(steps - 1):
        if space.exhausted or _errors(ritz, count, operator).max() <= tolerance * np.abs(ritz.values).max():
            break
        ritz = _grown(space)
    return TopEigenvalues(ritz.values[::-1][:count], _errors(ritz, count, operator))


def _grown(space: KrylovSpace) -> Ritz:
    space.step()
    return space.ritz()


def _errors(ritz: Ritz, count: int, operator: Operator) -> Float[np.ndarray, " k"]:
    return ritz.tails[::-1][:count] + operator.epsilon * np.abs(ritz.values).max()
