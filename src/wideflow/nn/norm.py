"""Normalisation over the channels, at every pixel alone or over all pixels."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, PRNGKeyArray

from ..duals import Pair
from .cov import Cov
from .demand import Demand
from .hyperparameter import check_number
from .layer import Layer, Shape
from .width import width

OVER = ("channels", "all")
Boxes = tuple[Bool[Array, "n1 *s"], Bool[Array, "n2 *s"]]


class RMSNorm(Layer):
    """x / √(mean of x² + epsilon), the mean over channels at every pixel alone (Zhang & Sennrich 2019); no gains.

    K'_ab = K_ab/√((K_aa + epsilon)(K_bb + epsilon)), Θ' scaled alike; after any layer, nonlinearities too.
    `over="all"`: the mean is over pixels too, and K_aa, K_bb are the means over all pixels of each input.

    Why Θ' is only scaled: at infinite width the mean square is the number K_aa. What a parameter changes in it is
    ∂K̂_aa/∂θ of a mean over n channels, whose inner product with ∂x_j/∂θ is K's share of Θ_jj over n, so the
    derivative through the denominator adds O(1/n).

    `epsilon` ≥ 0 is traced; with 0, zero inputs stay zero. Raises ValueError for a negative `epsilon` and another word.

    ```python
    nn.Serial(nn.Dense(512), nn.Relu(), nn.RMSNorm(), nn.Dense(1))
    ```
    """

    epsilon: float | Float[Array, ""] = 1e-6
    over: str = eqx.field(static=True, default="channels")
    boxes: Boxes | None = None  # the pixels of each input, while MaskedNetwork works

    def __check_init__(self):
        check_number(self, "epsilon", low=0.0)
        if self.over not in OVER:
            raise ValueError(f'{type(self).__name__}: over must be "channels" or "all", got {self.over!r}')

    def setup(self, key: PRNGKeyArray, shape: Shape) -> tuple[tuple[()], Shape]:
        """No parameters; the shape stays."""
        return (), shape

    def apply(self, params: tuple[()], x: Array) -> Array:
        """x / √(mean x² + epsilon)."""
        return x * _inverse_root(self._mean(x * x) + jnp.asarray(self.epsilon, x.dtype))

    def _mean(self, x: Array) -> Array:
        if self.over == "channels":
            return jnp.mean(x, axis=-1, keepdims=True)
        inside = None if self.boxes is None else self.boxes[0][..., None]
        return jnp.mean(x, axis=tuple(range(1, x.ndim)), keepdims=True, where=inside)

    def cov(self, k: Cov) -> Cov:
        """K_ab/√((K_aa + epsilon)(K_bb + epsilon)), Θ scaled alike."""
        return _normalised(k, self.epsilon) if self.over == "channels" else _scaled(k, self.epsilon, self.boxes)

    def demand(self, need: Demand) -> Demand:
        """Every pixel alone: what the output needs."""
        return need


class LayerNorm(RMSNorm):
    """(x − mean) / √(variance + epsilon) over the channels, at every pixel alone (Ba et al. 2016); no gains or biases.

    With `over="all"` over channels and pixels. K' and Θ' are those of `RMSNorm` where channels are Gaussian with mean
    zero, that is right after a layer with weights: the mean over n channels is then O(1/√n), and with it both what is
    subtracted and its derivative vanish; for the denominator see `RMSNorm`. After a nonlinearity the mean over
    channels stays, and no second moment tells it: refused with a ValueError.

    `epsilon` ≥ 0 is traced; with 0, zero inputs stay zero. Raises ValueError for a negative `epsilon`.

    ```python
    nn.Serial(nn.Dense(512), nn.LayerNorm(), nn.Relu(), nn.Dense(1))
    ```
    """

    def apply(self, params: tuple[()], x: Array) -> Array:
        """(x − mean) / √(variance + epsilon)."""
        return super().apply(params, x - self._mean(x))

    def cov(self, k: Cov) -> Cov:
        """K_ab/√((K_aa + epsilon)(K_bb + epsilon)), Θ scaled alike."""
        if not k.gaussian:
            raise ValueError(
                f"{self!r}: the mean over channels that it subtracts is known only right after a layer with weights "
                "(Dense, Conv …), where it is zero; put such a layer before it, or use RMSNorm, which subtracts nothing"
            )
        return super().cov(k)


@width.register(RMSNorm)
def _(layer: RMSNorm, before: int | None = None) -> int | None:
    return before


@jax.jit
def _normalised(k: Cov, epsilon: float | Float[Array, ""]) -> Cov:
    epsilon = jnp.asarray(epsilon, k.nngp.dtype)
    gain = _gain(k.pair(), epsilon)
    q1, q2 = (_gain(k.own_pair(q), epsilon) * q for q in (k.q1, k.q2))
    return k.replace(q1=q1, q2=q2, nngp=gain * k.nngp, ntk=gain * k.ntk, delta=k.delta)


@jax.jit
def _scaled(k: Cov, epsilon: float | Float[Array, ""], boxes: Boxes | None) -> Cov:
    """Every input over the root of its mean square over all pixels: one number for each."""
    epsilon = jnp.asarray(epsilon, k.nngp.dtype)
    insides = (None, None) if boxes is None else boxes
    g1, g2 = (
        _inverse_root(jnp.mean(v, k.pixel_axes, keepdims=True, where=_like(inside, v)) + epsilon)
        for v, inside in zip(k.variances(), insides, strict=True)
    )
    own1, own2 = (g1[..., 0], g2[..., 0, :]) if k.on_planes else (g1[:, 0], g2[0])
    gain = g1 * g2
    return k.replace(q1=own1**2 * k.q1, q2=own2**2 * k.q2, nngp=gain * k.nngp, ntk=gain * k.ntk, delta=k.delta)


def _like(inside: Array | None, v: Array) -> Array | None:
    return None if inside is None else inside.reshape(v.shape)


def _gain(pair: Pair, epsilon: Array) -> Array:
    return _inverse_root(pair.q11 + epsilon) * _inverse_root(pair.q22 + epsilon)


def _inverse_root(x: Array) -> Array:
    """1/√x, and 0 at x = 0, where only zeros are multiplied by it."""
    is_zero = x == 0
    return jnp.where(is_zero, 0, 1 / jnp.sqrt(jnp.where(is_zero, 1, x)))
