"""How exact a result from products must be, and what it may take."""

from dataclasses import dataclass
from math import log


@dataclass(frozen=True)
class Accuracy:
    """A relative error `tolerance`, `memory` in bytes for a Krylov space, and whether to print the progress.

    The memory is beyond the kernel matrix. Raises ValueError for a tolerance outside (0, 1).
    """

    tolerance: float = 1e-6
    memory: int = 2 * 2**30
    progress: bool = False

    def __post_init__(self):
        if not 0 < self.tolerance < 1:
            raise ValueError(f"{type(self).__name__}(tolerance={self.tolerance}): must lie between 0 and 1")


def percent_of_digits(error: float, tolerance: float) -> int:
    """How many of the digits that lead from 1 to the tolerance an error has, in per cent."""
    return round(100 * min(1, log(min(max(error, tolerance), 1)) / log(tolerance)))
