"""The dense layer."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, PRNGKeyArray

from .cov import Cov
from .demand import Demand
from .hyperparameter import check_count, check_number
from .layer import Layer, Shape
from .scaling import Scaling, check_scaling, own_kernel, scales


class Dense(Layer):
    """A fully connected layer over the channels, in NTK parameterization.

    z = w/√fan_in · x W + b · B with W, B ~ N(0, 1) the parameters. Infinite width (THEORY of Jacot et al. 2018):
    K' = w² K + b², Θ' = lr_w w² K + lr_b b² + w² Θ.

    `out`: number of output channels. `w`: weight standard deviation. `b`: bias standard deviation; None means no
    bias parameters at all, 0.0 means bias parameters with scale zero. `lr_w`, `lr_b`: factors of the learning rate of
    weights and biases, 0 freezes them (see `learning_rates`). All are traced: a new value does not recompile.
    `parameterization` and `channels` are written by `reparameterize`. Raises ValueError for `out` below 1 and for
    a negative standard deviation or factor.
    """

    out: int = eqx.field(static=True)
    w: float | Float[Array, ""] = 1.0
    b: float | Float[Array, ""] | None = None
    lr_w: float | Float[Array, ""] = 1.0
    lr_b: float | Float[Array, ""] = 1.0
    parameterization: str | Scaling = eqx.field(static=True, default="ntk")
    channels: float | Float[Array, ""] | None = None

    def __check_init__(self):
        check_count(self, "out")
        if self.out < 1:
            raise ValueError(f"Dense({self.out}): the number of output channels must be at least 1, got {self.out}")
        for name, value in (("w", self.w), ("b", self.b)):
            if isinstance(value, int | float) and not 0 <= value < float("inf"):
                raise ValueError(
                    f"Dense({self.out}, {name}={value}): {name} is a standard deviation; "
                    f"it must be finite and not negative, got {value}"
                )
        for name in ("w", "b", "lr_w", "lr_b"):
            check_number(self, name, 0.0)
        check_scaling(self)

    def setup(self, key: PRNGKeyArray, shape: Shape) -> tuple[dict[str, Array], Shape]:
        """Parameters `{"W": [in, out], "B": [out]}`, all standard normal."""
        return drawn_weights(self, key, (shape[-1], self.out)), (*shape[:-1], self.out)

    def apply(self, params: dict[str, Array], x: Array) -> Array:
        """z = w/√fan_in · x W + b · B."""
        return scaled_output(self, params, jnp.matmul(x, params["W"]))

    def cov(self, k: Cov) -> Cov:
        """K' = w² K + b², Θ' = lr_w w² K + lr_b b² + w² Θ."""
        return fresh_weights(k, self.w, self.b, own_kernel(self, 1, k.nngp.dtype))

    def demand(self, need: Demand) -> Demand:
        """Channels mix at every pixel alone: what the output needs."""
        return need


def drawn_weights(layer: Any, key: PRNGKeyArray, shape: Shape) -> dict[str, Array]:
    """The parameters of a layer with weights `W [*window, in, out]` and biases `B [out]`."""
    weight_key, bias_key = jax.random.split(key)
    W = jax.random.normal(weight_key, shape)
    scale = scales(layer, shape, W.dtype)
    if layer.b is None:
        return {"W": W * scale.weight_std}
    return {"W": W * scale.weight_std, "B": jax.random.normal(bias_key, shape[-1:]) * scale.bias_std}


def scaled_output(layer: Any, params: dict[str, Array], z: Array) -> Array:
    """What leaves a layer from `z`, its input times its weights: multipliers and biases put in."""
    scale = scales(layer, params["W"].shape, z.dtype)
    z = z * scale.weight
    if layer.b is None:
        return z
    bias = scale.bias * params["B"]
    return z + bias.reshape((1,) * (z.ndim - 1) + bias.shape)


@jax.jit
def fresh_weights(k: Cov, w: Any, b: Any, own: tuple[Any, Any] | None = None) -> Cov:
    """Weights of variance `w²` and biases of variance `b²` after any linear map of the features behind `k`.

    K' = w² K + b², Θ' = own[0] K + own[1] + w² Θ: the first terms of Θ' are the layer's own weights and biases, the
    last what the layers below contribute through it. `own` None stands for (w², b²): Θ' = K' + w² Θ.
    """
    weight = jnp.asarray(w, k.nngp.dtype) ** 2
    bias = None if b is None else jnp.asarray(b, k.nngp.dtype) ** 2
    new = k.affine(weight, bias)
    of_layer = new.nngp if own is None else own[0] * k.nngp + own[1]
    return new.replace(ntk=of_layer + new.ntk, delta=new.delta, gaussian=True, fresh=True)
