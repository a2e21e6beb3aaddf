"""A network read as a perceptron: dense layers with a nonlinearity between them."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..nn import Activation, Dense, Layer, Repeat, Serial


@dataclass(frozen=True)
class Perceptron:
    """The dense layers of a network and the nonlinearities between them, as finite-width theory treats them.

    `dense [L + 1]` and `activations [L]`: Dense, nonlinearity, …, Dense, in NTK parameterization.
    """

    dense: tuple[Dense, ...]
    activations: tuple[Activation, ...]

    @classmethod
    def of(cls, net: Layer, name: str) -> "Perceptron":
        """Read a network; `name` is who asks.

        Errors: ValueError for any other layer, for another order of layers, and for another parameterization, with
        what the theory would need.
        """
        layers: list[Any] = unrolled(net)
        dense, activations = tuple(layers[::2]), tuple(layers[1::2])
        for kind, part in ((Dense, dense), (Activation, activations)):
            for layer in part:
                if not isinstance(layer, kind):
                    raise ValueError(
                        f"{name}: wanted Dense, nonlinearity, Dense, …, Dense, got {layer!r} where a "
                        f"{'Dense layer' if kind is Dense else 'nonlinearity'} should be. The 1/width expansion is "
                        "known to this function for such networks alone; for others sample finite networks"
                    )
        if len(layers) < 3 or len(layers) % 2 == 0:
            raise ValueError(
                f"{name}: wanted Dense, nonlinearity, …, Dense with at least one hidden layer, got {net!r}"
            )
        if any(layer.parameterization != "ntk" for layer in dense):
            raise ValueError(
                f"{name}: wanted NTK parameterization, got {net!r}; give the network before reparameterize"
            )
        return cls(dense, activations)

    @property
    def widths(self) -> tuple[int, ...]:
        """n_1 … n_L of the hidden layers."""
        return tuple(layer.out for layer in self.dense[:-1])

    @property
    def beta(self) -> float:
        """β = Σ_ℓ 1/n_ℓ over the hidden layers."""
        return float(sum(1 / n for n in self.widths))


def unrolled(net: Layer) -> list[Layer]:
    """The layers of a chain in order, with nested `Serial` and `Repeat` written out; anything else is one layer."""
    if isinstance(net, Serial):
        return [layer for part in net.layers for layer in unrolled(part)]
    if isinstance(net, Repeat):
        return net.times * unrolled(net.layer)
    return [net]


def checked_vectors(x: Any, name: str) -> np.ndarray:
    """Inputs as float64 `[n, d]`; ValueError for another shape and for rows that are not finite."""
    x = np.asarray(x, np.float64)
    if x.ndim != 2 or not x.size:
        raise ValueError(f"{name}: wanted inputs x [n, d], got shape {x.shape}; flatten images first")
    if not np.isfinite(x).all():
        raise ValueError(f"{name}: x has a number that is not finite in row {np.argwhere(~np.isfinite(x))[0, 0]}")
    return x
