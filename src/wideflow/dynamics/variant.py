"""Which ensemble is meant: what is trained, from which initial functions, on which targets."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

Kind = Literal["ntk", "nngp", "centred", "ntkgp"]


@dataclass(frozen=True)
class Variant:
    """A kind of ensemble, whose members start at draws f₀ of a Gaussian process with covariance A = a K + b Θ.

    `trained`: the kernel of what is trained, "ntk" (Θ, every parameter) or "nngp" (K, the last layer). `nngp`, `ntk`:
    the factors a and b, not negative. `noisy`: whether the targets carry noise where the ensemble does not say, of
    variance `ridge`, drawn anew for each member. Ensembles with A equal to the trained kernel and noisy targets end in
    the posterior of Gaussian-process regression.

    Randomised priors (Osband et al. 2018) add an untrained network, scaled by β, to each trained one:
    `Variant("ntk", nngp=1 + β²)`. Raises ValueError for factors that are negative or not finite.
    """

    trained: Literal["ntk", "nngp"] = "ntk"
    nngp: float = 0.0
    ntk: float = 0.0
    noisy: bool = False

    def __post_init__(self):
        if self.trained not in ("ntk", "nngp"):
            raise ValueError(f'{self!r}: trained must be "ntk" or "nngp"')
        if not (0 <= self.nngp < np.inf and 0 <= self.ntk < np.inf):
            raise ValueError(f"{self!r}: the initial covariance nngp K + ntk Θ wants finite factors, not negative")


_VARIANTS = {
    "ntk": Variant("ntk", nngp=1.0),
    "nngp": Variant("nngp", nngp=1.0, noisy=True),
    "centred": Variant("ntk"),
    "ntkgp": Variant("ntk", ntk=1.0, noisy=True),
}


def variant_of(kind: str | Variant) -> Variant:
    """The variant that a name stands for; ValueError for an unknown name."""
    if isinstance(kind, Variant):
        return kind
    if kind not in _VARIANTS:
        names = ", ".join(f'"{name}"' for name in _VARIANTS)
        raise ValueError(f"kind must be one of {names}, or a Variant, got {kind!r}")
    return _VARIANTS[kind]
