"""Any nonlinearity, from a function."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
from jax import Array

from .activation import Activation


class Elementwise(Activation):
    """φ(z) = fn(z) for any scalar JAX function; by quadrature from `fn` alone (see `duals.quadrature`).

    `fn` is called on arrays and must act elementwise. Accuracy: functions that are smooth, or have a kink at zero.
    """

    fn: Callable[[Any], Any] = eqx.field(static=True)

    def __check_init__(self):
        if not callable(self.fn):
            raise TypeError(f"Elementwise: wanted a function of one array, got {self.fn!r}")

    def phi(self, z: Array) -> Array:
        """fn(z)."""
        return self.fn(z)
