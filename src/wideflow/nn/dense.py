"""The dense layer."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, PRNGKeyArray

from .cov import Cov
from .demand import Demand
from .layer import Layer, Shape


class Dense(Layer):
    """A fully connected layer over the channels, in NTK parameterization.

    z = w/√fan_in · x W + b · B with W, B ~ N(0, 1) the parameters. Infinite width (THEORY of Jacot et al. 2018):
    K' = w² K + b², Θ' = K' + w² Θ.

    `out`: number of output channels. `w`: weight standard deviation. `b`: bias standard deviation; None means no
    bias parameters at all, 0.0 means bias parameters with scale zero. Both are traced: a new value does not
    recompile. Raises ValueError for `out` below 1 or a negative standard deviation.
    """

    out: int = eqx.field(static=True)
    w: float | Float[Array, ""] = 1.0
    b: float | Float[Array, ""] | None = None

    def __check_init__(self):
        if self.out < 1:
            raise ValueError(f"Dense({self.out}): the number of output channels must be at least 1, got {self.out}")
        for name, value in (("w", self.w), ("b", self.b)):
            if isinstance(value, int | float) and not 0 <= value < float("inf"):
                raise ValueError(
                    f"Dense({self.out}, {name}={value}): {name} is a standard deviation; "
                    f"it must be finite and not negative, got {value}"
                )

    def setup(self, key: PRNGKeyArray, shape: Shape) -> tuple[dict[str, Array], Shape]:
        """Parameters `{"W": [in, out], "B": [out]}`, all standard normal."""
        weight_key, bias_key = jax.random.split(key)
        params = {"W": jax.random.normal(weight_key, (shape[-1], self.out))}
        if self.b is not None:
            params["B"] = jax.random.normal(bias_key, (self.out,))
        return params, (*shape[:-1], self.out)

    def apply(self, params: dict[str, Array], x: Array) -> Array:
        """z = w/√fan_in · x W + b · B."""
        W = params["W"]
        z = jnp.matmul(x, W)
        z = z * (jnp.asarray(self.w, z.dtype) / W.shape[0] ** 0.5)
        if self.b is None:
            return z
        bias = jnp.asarray(self.b, z.dtype) * params["B"]
        return z + bias.reshape((1,) * (z.ndim - 1) + bias.shape)

    def cov(self, k: Cov) -> Cov:
        """K' = w² K + b², Θ' = K' + w² Θ."""
        return fresh_weights(k, self.w, self.b)

    def demand(self, need: Demand) -> Demand:
        """Channels mix at every pixel alone: what the output needs."""
        return need


@jax.jit
def fresh_weights(k: Cov, w: Any, b: Any) -> Cov:
    """Weights of variance `w²` and biases of variance `b²` after any linear map of the features behind `k`.

    K' = w² K + b², Θ' = K' + w² Θ: the first term of Θ' is the layer's own weights and biases, the second what the
    layers below contribute through it.
    """
    weight = jnp.asarray(w, k.nngp.dtype) ** 2
    bias = None if b is None else jnp.asarray(b, k.nngp.dtype) ** 2
    new = k.affine(weight, bias)
    return new.replace(ntk=new.nngp + new.ntk, delta=new.delta, gaussian=True, fresh=True)
