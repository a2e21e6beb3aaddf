"""The filter of a training rule from products with the kernel matrix alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt

import numpy as np
from jaxtyping import Float

from ..kernels.progress import Progress
from .accuracy import Accuracy, percent_of_digits
from .conjugate_gradients import ConjugateGradients
from .duplicates import named
from .extremes import extremes
from .filter import Filter, Training
from .matrix_function import Error, Function, MatrixFunction
from .nystrom import Nystrom
from .operator import Operator
from .spectrum import check_definite, rounding_of

_RITZ_ARRAYS = 6  # of K × K numbers that diagonalising a space of dimension K and estimating its error hold
_LEAST_STEPS = 40  # of a block that the memory must allow, or columns are solved in groups


@dataclass(frozen=True)
class Effort:
    """What the last result of a `KrylovFilter` took.

    `dimension` of the Krylov space (the largest, where columns were solved in groups), `products`: vectors that the
    kernel matrix was multiplied with, `error`: the estimated relative error, the largest over times and outputs.
    """

    dimension: int = 0
    products: int = 0
    error: float = 0.0

    def and_also(self, other: "Effort") -> "Effort":
        """Both together."""
        dimension, error = max(self.dimension, other.dimension), max(self.error, other.error)
        return Effort(dimension, self.products + other.products, error)

    def __str__(self) -> str:
        return f"{self.products:,} products, Krylov dimension {self.dimension:,}, relative error {self.error:.1e}"


class KrylovFilter(Filter):
    """The filter of a rule for a kernel matrix that is known by its products with vectors.

    Finite times: one block Krylov space of the residual serves all times and both `solutions` and `fits` (it is kept
    for the next call with the same residual). Infinite time: conjugate gradients with a Nyström preconditioner; where
    the matrix turns out to be singular without ridge, the pseudo-inverse in the Krylov space.

    `accuracy`: its `tolerance` is the relative error asked for at every time and column, of `solutions` in the norm
    √(aᵀΘa) of the function Θ(·, X)a (which bounds it at every point), of `fits` in the Euclidean norm. Columns are
    solved in groups where they do not fit into its `memory` together. `effort`: what the last result took, and its
    error; that is above the tolerance where rounding alone is, as it then is with eigenvectors.

    Raises ValueError for a matrix that is not finite, symmetric or positive semidefinite as far as the products show
    it, and RuntimeError where the tolerance cannot be reached in the memory, with the error that was reached.
    Cost: as many products as the filter's polynomial degree, about √(t λ_max) log(1/tolerance) or fewer; a time point
    more costs 2 K D operations an output, K the dimension of the space. Sources: see `MatrixFunction`,
    `ConjugateGradients`, `Nystrom`.
    """

    def __init__(self, operator: Operator, training: Training, accuracy: Accuracy):
        ends = extremes(operator.checked(), tolerance=1e-6)
        self.operator, self.largest = operator, ends.largest + ends.error
        rounding = rounding_of(len(operator), operator.epsilon, self.largest)
        check_definite(ends.smallest, self.largest, rounding, operator.name, operator.duplicates)
        super().__init__(training, len(operator), self.largest, rounding, operator.name)
        self.tolerance, self.memory, self.progress = accuracy.tolerance, accuracy.memory, accuracy.progress
        self.effort = Effort()
        self._function: MatrixFunction | None = None
        self._preconditioner: Nystrom | None = None

    @property
    def capacity(self) -> int:
        """The largest dimension of a Krylov space that fits: 8 (D K + 6 K²) bytes."""
        room = self.points**2 + 4 * _RITZ_ARRAYS * self.memory / 8
        return int((isqrt(int(room)) - self.points) / (2 * _RITZ_ARRAYS))

    def solutions(self, times: Sequence[float], residual: Float[np.ndarray, "D o"]) -> Float[np.ndarray, "T D o"]:
        """G_t · residual at every time."""
        return self._series(times, residual, fit=False)

    def fits(self, times: Sequence[float], residual: Float[np.ndarray, "D o"]) -> Float[np.ndarray, "T D o"]:
        """Θ G_t · residual at every time."""
        return self._series(times, residual, fit=True)

    def _series(self, times: Sequence[float], residual: np.ndarray, fit: bool) -> np.ndarray:
        """Finite times from one Krylov space, infinite ones from a linear system."""
        self.effort = Effort()
        result = np.zeros((len(times), *residual.shape))
        finite = [i for i, t in enumerate(times) if 0 < t < np.inf]
        if finite:
            result[finite] = self._in_groups([times[i] for i in finite], residual, fit)
        if not np.isfinite(times).all():
            result[~np.isfinite(times)] = self._at_infinity(residual, fit)
        return result

    def _sought(self, t: float, fit: bool) -> Function:
        return Function(lambda values: self.weights_at(values, t), fit)

    def _in_groups(self, times: list[float], residual: np.ndarray, fit: bool) -> np.ndarray:
        """Columns together where the memory allows it: a common space needs fewer products."""
        columns = residual.shape[1]
        together = max(1, self.capacity // _LEAST_STEPS)
        result = self._approximated(times, residual, fit) if columns <= together else None
        if result is not None:
            return result
        half = (columns + 1) // 2
        parts = (residual[:, :half], residual[:, half:])
        return np.concatenate([self._in_groups(times, part, fit) for part in parts], axis=2)

    def _approximated(self, times: list[float], residual: np.ndarray, fit: bool) -> np.ndarray | None:
        """Every time in one Krylov space; None where it outgrows the memory and has columns to divide."""
        function = self._remembered(residual)
        sought = [self._sought(t, fit) for t in sorted(times, reverse=True)]  # the latest is the hardest
        before = function.space.products
        with Progress(100, "% of the digits", enabled=self.progress) as bar:
            while (error := self._error(function, sought)).removable > self.tolerance and not function.space.exhausted:
                if function.next_dimension > self.capacity:
                    return self._outgrown(residual, error.removable)
                smallest = float(function.grow().values[0])
                check_definite(smallest, self.largest, self.rounding, self.name, self.operator.duplicates)
                bar.advance(max(0, percent_of_digits(error.removable, self.tolerance) - bar.done))
        space = function.space
        self.effort = self.effort.and_also(Effort(space.dimension, space.products - before, sum(error)))
        columns = [function.coefficients(self._sought(t, fit)) for t in times]  # [K, o] each
        outputs = space.expand(np.concatenate(columns, axis=1))
        return np.moveaxis(outputs.reshape(self.points, len(times), -1), 1, 0)

    def _error(self, function: MatrixFunction, sought: list[Function]) -> Error:
        """The largest error, or the first that is above the tolerance."""
        worst = Error(0.0, 0.0)
        for one in sought:
            worst = max(worst, function.error(one, self.rounding), key=sum)
            if worst.removable > self.tolerance and not function.space.exhausted:
                break
        return worst

    def _remembered(self, residual: np.ndarray) -> MatrixFunction:
        known = self._function
        if known is None or not np.array_equal(known.space.start, residual):
            known = self._function = MatrixFunction(self.operator, residual)
        return known

    def _outgrown(self, residual: np.ndarray, error: float) -> None:
        if residual.shape[1] == 1:
            equal = named(self.operator.duplicates())
            raise RuntimeError(
                f"{self.name}: a Krylov space of dimension {self.capacity:,} leaves a relative error of {error:.1e} "
                f"where {self.tolerance:.1e} is wanted, and {self.memory / 2**30:.3g} GiB hold no larger one; give "
                "more memory, a larger tolerance, a ridge or an earlier time, or use Dense()"
                + (f"; the kernel is singular, it cannot tell apart the points in {equal}" if equal else "")
            )
        self._function = None

    def _at_infinity(self, residual: np.ndarray, fit: bool) -> np.ndarray:
        """(Θ + rI)⁻¹ · residual, or Θ times it."""
        if self._remembered(residual).error(self._sought(np.inf, fit), self.rounding).removable <= self.tolerance:
            return self._in_groups([np.inf], residual, fit)[0]  # the space of finite times does it
        if self._preconditioner is None:
            self._preconditioner = Nystrom.of(self.operator)
        solver = ConjugateGradients(self.operator, self.ridge, self.rounding, self._preconditioner)
        solution = solver.solve(residual, self.tolerance, self.progress)
        if solution.error > self.tolerance:  # singular, or so near it that the pseudo-inverse is meant
            return self._in_groups([np.inf], residual, fit)[0]
        products = solution.iterations * residual.shape[1]
        self.effort = self.effort.and_also(Effort(0, products, solution.error))
        return residual - solution.residual - self.ridge * solution.a if fit else solution.a
