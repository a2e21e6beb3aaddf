"""What high-dimensional theory needs to know of an activation: five Gaussian moments."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ..duals.mehler import expand
from ..nn import Activation

# A mean larger than this share of the standard deviation is not rounding of the quadrature.
CENTRED = 1e-6


@dataclass(frozen=True)
class HermiteConstants:
    """Moments of an activation σ under a standard normal z, after which theory sees no more of it.

    `mean`: μ0 = E σ(z). `linear`: μ1 = E zσ(z). `nonlinear`: μ* = (E σ² − μ0² − μ1²)^½. `slope`: E σ'(z), equal to μ1
    unless σ jumps. `slope_square`: E σ'(z)². σ' is the derivative almost everywhere, what a trained network sees.

    `HermiteConstants.of(activation)` computes them; one's own numbers are as good.

    >>> import jax.numpy as jnp
    >>> from wideflow.beyond import HermiteConstants
    >>> constants = HermiteConstants.of(lambda z: jnp.maximum(z, 0))
    >>> print(f"{constants.mean:.4f} {constants.linear:.4f} {constants.nonlinear:.4f}")
    0.3989 0.5000 0.3014
    """

    mean: float
    linear: float
    nonlinear: float
    slope: float
    slope_square: float

    def __post_init__(self) -> None:
        values = (self.mean, self.linear, self.nonlinear, self.slope, self.slope_square)
        if not np.isfinite(values).all() or self.nonlinear < 0 or self.slope_square < self.slope**2 * (1 - CENTRED):
            raise ValueError(
                "HermiteConstants: wanted finite moments with nonlinear ≥ 0 and slope_square ≥ slope², got "
                f"mean={self.mean}, linear={self.linear}, nonlinear={self.nonlinear}, slope={self.slope}, "
                f"slope_square={self.slope_square}"
            )

    @staticmethod
    def of(activation: Activation | Callable[[Any], Any]) -> "HermiteConstants":
        """The constants of a layer such as `nn.Relu()` or of a JAX function, by quadrature in float64.

        Accuracy 1e-12 for functions that are smooth or have a kink or jump at zero, 1e-3 for kinks elsewhere.
        Errors: TypeError for what is not a function of JAX arrays.
        """
        moments = _expanded(function_of(activation))
        (mean, linear), square = moments.value[:, 0], moments.value_moment[0]
        rest = max(float(square - mean**2 - linear**2), 0.0)
        if rest < 1e-12 * square:  # rounding of a linear function
            rest = 0.0
        return HermiteConstants(
            float(mean), float(linear), float(np.sqrt(rest)), float(moments.slope[0, 0]), float(moments.slope_moment[0])
        )

    def centred(self) -> "HermiteConstants":
        """The constants of σ − μ0."""
        return replace(self, mean=0.0)

    @property
    def is_centred(self) -> bool:
        """Whether μ0 is zero within rounding."""
        return bool(abs(self.mean) <= CENTRED * np.hypot(self.linear, self.nonlinear))

    def require(self, who: str) -> None:
        """Raise ValueError unless μ0 = 0 and μ* > 0, with what it would mean for the prediction."""
        if not self.is_centred:
            raise ValueError(
                f"{who}: wanted a centred activation, E σ(z) = 0, got {self.mean:.4g}. A mean adds μ0² to every "
                "entry of the kernel: one eigenvalue of order n, which fits the mean of the targets whatever the "
                "ridge. The limit of the rest is that of σ − μ0, but at finite d it is off by a few percent more. Use "
                "constants.centred() here and centred(activation) in the network"
            )
        if self.nonlinear == 0:
            raise ValueError(
                f"{who}: the activation is linear under a normal law (μ* = 0). Features then have rank d and the "
                "prediction, which divides by μ*, does not exist. Use a nonlinear activation"
            )


def centred(activation: Activation | Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The function σ(z) − E σ(z)."""
    function, mean = function_of(activation), HermiteConstants.of(activation).mean
    return lambda z: function(z) - mean


def function_of(activation: Any) -> Callable[[Any], Any]:
    """The scalar function of an activation layer, or the function itself."""
    if isinstance(activation, Activation):
        return activation.phi
    if not callable(activation):
        raise TypeError(f"activation: wanted a layer such as nn.Relu() or a JAX function, got {activation!r}")
    return activation


def on_numpy(function: Callable[[Any], Any], z: Float[np.ndarray, "*s"]) -> Float[np.ndarray, "*s"]:
    """`function(z)` in float64."""
    with jax.enable_x64(True):
        return np.asarray(function(jnp.asarray(z)))


def slope_on_numpy(function: Callable[[Any], Any], z: Float[np.ndarray, "*s"]) -> Float[np.ndarray, "*s"]:
    """The derivative of `function` at z, elementwise, in float64."""
    with jax.enable_x64(True):
        at = jnp.asarray(z)
        return np.asarray(jax.jvp(function, (at,), (jnp.ones_like(at),))[1])


def _expanded(function: Callable[[Any], Any]) -> Any:
    """Both Hermite coefficients of degree below two and the second moments, of σ and σ'."""
    with jax.enable_x64(True):
        try:
            return jax.tree.map(np.asarray, expand(function, jnp.ones(1, jnp.float64), 2))
        except jax.errors.TracerArrayConversionError as error:
            raise TypeError(
                "activation: wanted a function of JAX arrays, got one that converts them to NumPy; "
                "write jnp.tanh for np.tanh"
            ) from error
