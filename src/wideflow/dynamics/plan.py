"""What training dynamics will take, before any work."""

from dataclasses import dataclass
from typing import Any

from ..kernels.plan import size
from .operator import MatrixOperator, Operator
from .solver import DENSE_ARRAYS, DENSE_BYTES, DENSE_POINTS, Dense, Solver, chosen_solver

_EIGH = 9  # operations of an `eigh` with eigenvectors over D³


@dataclass(frozen=True)
class Plan:
    """How trajectories with a kernel matrix of `points` rows will be computed, and why; `print` shows it.

    `solver`: `Dense` or `Krylov`. `kernel_bytes`: of the matrix as it is held, 0 for one that is not. `work_bytes`:
    beyond the matrix, at most. `operations`: of the `eigh`, or of one product with a vector. `reason`: in words.
    """

    points: int
    solver: Solver
    kernel_bytes: int
    reason: str

    @property
    def work_bytes(self) -> int:
        """Bytes beyond the kernel matrix, about."""
        return DENSE_ARRAYS * 8 * self.points**2 if isinstance(self.solver, Dense) else self.solver.memory

    @property
    def operations(self) -> float:
        """9 D³ for an `eigh`, 2 D² for a product with a vector."""
        return _EIGH * self.points**3 if isinstance(self.solver, Dense) else 2.0 * self.points**2

    def __str__(self) -> str:
        of = "one eigh" if isinstance(self.solver, Dense) else "a product with a vector"
        kernel = f"{size(self.kernel_bytes)} as it is held" if self.kernel_bytes else "not held"
        rows = [
            ("points", f"{self.points:,}"),
            ("solver", f"{self.solver!r}, {self.reason}"),
            ("kernel", kernel),
            ("work", f"{size(self.work_bytes)} beyond the kernel, at most"),
            ("operations", f"{self.operations:.1e} for {of}"),
        ]
        return "\n".join(f"{name:12}{value}" for name, value in rows)

    __repr__ = __str__


def plan(matrix: Any, solver: Solver | None = None, memory: int = DENSE_BYTES) -> Plan:
    """How `Trajectory` and `Ensemble` will work with a kernel matrix `[D, D]`, an `Operator`, or D float64 points.

    `memory`: bytes that the work may take beyond the matrix; hand the plan's `solver` to `Trajectory` or `Ensemble` to
    keep to it. `solver`: one that is asked for. Raises ValueError where it does not fit into `memory`.

    ```python
    print(plan(20_000))
    ```
    """
    if isinstance(matrix, int):
        points, held, entries = matrix, 8 * matrix**2, True
    else:
        operator = matrix if isinstance(matrix, Operator) else MatrixOperator(matrix)
        points, entries = len(operator), not isinstance(matrix, Operator)
        held = operator.matrix.nbytes if isinstance(operator, MatrixOperator) else 0
    if solver is not None:
        new = Plan(points, solver, held, "as asked for")
        if new.work_bytes > memory:
            raise ValueError(
                f"plan: {solver!r} takes {size(new.work_bytes)} for {points:,} points, more than memory="
                f"{size(memory)}; give more memory, or use Krylov(memory={memory})"
            )
        return new
    solver = chosen_solver(points, entries, memory)
    if isinstance(solver, Dense):
        return Plan(points, solver, held, f"up to {DENSE_POINTS:,} points that fit into {size(memory)}")
    reason = "above the size or the memory of an eigh" if entries else "the matrix is known by its products"
    return Plan(points, solver, held, reason)
