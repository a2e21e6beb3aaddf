"""How large an experiment is, on which data, and its seed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

SCALES = ("quick", "default", "full")
Value = TypeVar("Value")


def _unheard(_: float) -> None:
    pass


@dataclass(frozen=True)
class Setting:
    """What an experiment is a pure function of, and nothing else.

    `scale`: "quick" (seconds), "default" (a minute or two on two cores), "full" (as in the lecture; for a GPU).
    `data`: the name of a data set, empty where none is used. `seed`: of everything random. `tell(share)`: called with
    the share that is done.
    """

    scale: str = "default"
    data: str = "digits"
    seed: int = 0
    tell: Callable[[float], None] = field(default=_unheard, compare=False, repr=False)

    def __post_init__(self):
        if self.scale not in SCALES:
            raise ValueError(f"Setting(scale={self.scale!r}): wanted one of {', '.join(SCALES)}")

    def pick(self, quick: Value, default: Value, full: Value) -> Value:
        """The value for this scale."""
        return {"quick": quick, "default": default, "full": full}[self.scale]

    def random(self, purpose: str) -> np.random.Generator:
        """Random numbers for one purpose, independent of those for others."""
        return np.random.default_rng([self.seed, *purpose.encode()])

    def number(self, purpose: str) -> int:
        """A seed for `jax.random.key`, independent of those for other purposes."""
        return int(self.random(purpose).integers(2**31))

    def with_data(self, names: Sequence[str], wanted: str | None) -> "Setting":
        """The same on the wanted data set, or else on the first of `names` that is at hand, or else on digits.

        Without `names` no data set is used, whatever is wanted, and `data` is empty.
        """
        if not names:
            return replace(self, data="")
        return replace(self, data=wanted or next((name for name in names if _at_hand(name)), "digits"))


def _at_hand(name: str) -> bool:
    """Whether a data set is there without a download."""
    from ..datasets.folder import local_file

    return name == "digits" or local_file(name) is not None
