"""How the formulas of square loss are evaluated: through all eigenvectors, or through products alone."""

from dataclasses import dataclass
from typing import Any

from .accuracy import Accuracy
from .filter import DenseFilter, Filter, Training
from .krylov_filter import KrylovFilter
from .operator import Operator, as_operator
from .spectrum import Spectrum

DENSE_POINTS = 8_000  # above it, an `eigh` takes many minutes, and products win at every time
DENSE_BYTES = 4 * 2**30  # that an `eigh` may take, unless a memory budget says otherwise
DENSE_ARRAYS = 5  # of D × D float64 numbers that it holds: matrix, eigenvectors, workspace


@dataclass(frozen=True)
class Dense:
    """One float64 `eigh` of the kernel matrix: exact to rounding; every time and output afterwards is cheap."""

    def filter(self, matrix: Any, training: Training, name: str) -> Filter:
        """The filter of a kernel matrix `[D, D]`; TypeError for an operator, which has no entries."""
        if isinstance(matrix, Operator):
            raise TypeError(f"{name}: Dense() wants the matrix [D, D], got {matrix!r}; use Krylov()")
        return DenseFilter(Spectrum.of(matrix, name), training, name)


@dataclass(frozen=True)
class Krylov(Accuracy):
    """Products with the kernel matrix alone, to a relative error `tolerance`; see `KrylovFilter`.

    `memory`: bytes for the Krylov space, beyond the kernel matrix. `progress`: print how far it is to standard error.

    ```python
    tr = wf.Trajectory(ntk_train, y_train, rule, solver=Krylov(tolerance=1e-8))
    outputs = tr.train([1.0, 10.0, 100.0])
    print(tr.filter.effort)
    ```
    """

    def filter(self, matrix: Any, training: Training, name: str) -> Filter:
        """The filter of a kernel matrix `[D, D]` or an `Operator`."""
        return KrylovFilter(as_operator(matrix, name), training, self)


Solver = Dense | Krylov


def chosen_solver(points: int, has_entries: bool, memory: int = DENSE_BYTES) -> Solver:
    """Dense where the matrix has entries, at most 8,000 points, and an `eigh` fits into `memory` bytes; else Krylov."""
    fits = points <= DENSE_POINTS and DENSE_ARRAYS * 8 * points**2 <= memory
    return Dense() if has_entries and fits else Krylov(memory=min(memory, Krylov.memory))


def filter_of(matrix: Any, training: Training, name: str, solver: Solver | None = None) -> Filter:
    """The filter of a kernel matrix or `Operator`, by the solver asked for or else by `chosen_solver`."""
    if solver is None:
        solver = chosen_solver(len(matrix), not isinstance(matrix, Operator))
    return solver.filter(matrix, training, name)
