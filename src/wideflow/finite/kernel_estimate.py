"""Kernels estimated from draws of finite networks, with their standard errors."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from .running_moments import RunningMoments


@dataclass(frozen=True)
class KernelEstimate:
    """Means over `draws` networks, and their standard errors, `[n1, n2, …]` in float64. Printable.

    `nngp`, `ntk`: the kernels; None for one that was not asked for. `nngp_error`, `ntk_error`: standard errors of
    the entries. `relative_error`: √Σ error² / √Σ kernel² over all entries, the larger of both kernels'. `reached`:
    whether it is at most the accuracy that was asked for; True where none was. `interrupted`: Ctrl-C ended it.

    The errors are those of the mean over finite networks. That mean differs from the kernel of the infinitely wide
    network by O(1/width), which more draws do not change and the errors do not show.
    """

    moments: dict[str, RunningMoments] = field(repr=False)
    accuracy: float | None = None
    interrupted: bool = False
    of: str = field(default="", repr=False)  # which networks and inputs: what may be continued

    @property
    def draws(self) -> int:
        """How many networks were drawn."""
        return next(iter(self.moments.values())).count

    @property
    def nngp(self) -> Float[np.ndarray, "n1 n2 *more"] | None:
        """The mean of products of outputs."""
        return self.moments["nngp"].mean if "nngp" in self.moments else None

    @property
    def nngp_error(self) -> Float[np.ndarray, "n1 n2 *more"] | None:
        """Its standard error."""
        return self.moments["nngp"].error if "nngp" in self.moments else None

    @property
    def ntk(self) -> Float[np.ndarray, "n1 n2 *more"] | None:
        """The mean NTK."""
        return self.moments["ntk"].mean if "ntk" in self.moments else None

    @property
    def ntk_error(self) -> Float[np.ndarray, "n1 n2 *more"] | None:
        """Its standard error."""
        return self.moments["ntk"].error if "ntk" in self.moments else None

    @property
    def relative_error(self) -> float:
        """The larger of both kernels' relative standard errors."""
        return max(moments.relative_error for moments in self.moments.values())

    @property
    def reached(self) -> bool:
        """Whether the accuracy is met."""
        return self.accuracy is None or self.relative_error <= self.accuracy

    def __str__(self) -> str:
        each = ", ".join(f"{name} ± {moments.relative_error:.2g}" for name, moments in self.moments.items())
        wanted = "" if self.accuracy is None else f" of {self.accuracy:g} wanted"
        met = "" if self.reached else "; not reached, draw more"
        stopped = "; interrupted" if self.interrupted else ""
        return f"{self.draws} networks: {each}{wanted} (relative; a bias of order 1/width comes on top){met}{stopped}"
