"""Self-attention: every pixel looks at every other."""

from math import prod
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, PRNGKeyArray

from .activation import Activation
from .attention_kernel import Keys, attention, gaussian_scores, sure_scores
from .cov import Cov
from .demand import Demand
from .dense import fresh_weights
from .hyperparameter import check_number
from .layer import Layer, Shape
from .mixing import paired
from .positions import Positions
from .scaling import ntk_share

SCALES = {"1/d": 1.0, "1/sqrt(d)": 0.5}


class SelfAttention(Layer):
    """Multi-head self-attention over all pixels, in NTK parameterization (Hron et al. 2020).

    Each head has queries, keys and values q, k, v = w_query/√fan_in x Q, w_key/√fan_in x K, w_value/√fan_in x V, scores
    G_ai = q_a · k_i / key_size^scale, and attention ζ(G): z_a = w/√(heads value_size) Σ_heads Σ_i ζ(G)_ai v_i O + b B.

    - `scale="1/d"`: queries and keys share their weights, K = Q, or all scores would vanish. Infinite width: scores are
      the numbers G = s K(x, x), s = w_query w_key, for any number of heads. With p = ζ(s K(x, x)) and σ = w w_value,
      K'_ab = σ² Σ_ij p_ai(x) K_ij(x, x') p_bj(x') + b², Θ'_ab = (lr_w + lr_value) σ² p K p' + lr_b b² + σ² p Θ p':
      of outputs, values, biases and the layers below; what queries and keys add is of order 1/key_size.
    - `scale="1/sqrt(d)"`: infinite width and infinitely many heads, scores are Gaussian with E[G_ai G'_bj] =
      s² K_ab K_ij. K'_ab = σ² Σ_ij E[ζ(G_ai) ζ(G'_bj)] K_ij + b², for ζ the identity σ² s² K_ab Σ_ij K_ij² + b², and
      Θ' = (lr_w + lr_value) (K' − b²) + lr_b b² + σ² Σ_ij (E[ζ ζ'] Θ_ij + E[ζ̇ ζ̇'] K_ij s² ((lr_query + lr_key) K_ab
      K_ij + Θ_ab K_ij + K_ab Θ_ij)). With softmax there is no closed form: ValueError.

    `out`: channels. `heads`, `key_size`, `value_size` (None: `out`): of the finite form. `w_query`, `w_key`, `w_value`,
    `w`, `b`: standard deviations of queries, keys, values, outputs and biases (None: none), `lr_query`, `lr_key`,
    `lr_value`, `lr_w`, `lr_b` the factors of their learning rates (shared weights of queries and keys have `lr_query`),
    all traced. `scores`: ζ, an elementwise nonlinearity (`Identity()`, `Relu()`, `Abs()` …), None: softmax over i.
    `positions`: embeddings that queries and keys see, and values do not; as a layer before this one, values see them
    too. Cost for p pixels: p³ per pair of inputs, p⁴ for Gaussian scores other than the identity. Raises ValueError for
    options that make no sense and for inputs without pixels.

    ```python
    nn.Serial(nn.Conv(64, 3), nn.Relu(), nn.SelfAttention(64, heads=4), nn.Relu(), nn.GlobalAvgPool(), nn.Dense(1))
    ```
    """

    out: int = eqx.field(static=True)
    heads: int = eqx.field(static=True, default=1)
    key_size: int | None = eqx.field(static=True, default=None)
    value_size: int | None = eqx.field(static=True, default=None)
    w: float | Float[Array, ""] = 1.0
    b: float | Float[Array, ""] | None = None
    w_query: float | Float[Array, ""] = 1.0
    w_key: float | Float[Array, ""] = 1.0
    w_value: float | Float[Array, ""] = 1.0
    scores: Activation | None = None
    scale: str = eqx.field(static=True, default="1/d")
    positions: Positions | None = None
    lr_w: float | Float[Array, ""] = 1.0
    lr_b: float | Float[Array, ""] = 1.0
    lr_query: float | Float[Array, ""] = 1.0
    lr_key: float | Float[Array, ""] = 1.0
    lr_value: float | Float[Array, ""] = 1.0
    keys: Keys = None  # while MaskedNetwork works

    def __check_init__(self):
        for name in ("out", "heads", "key_size", "value_size"):
            size = getattr(self, name)
            if size is not None and size < 1:
                raise ValueError(f"{self!r}: {name} must be at least 1, got {size}")
        factors = ("lr_w", "lr_b", "lr_query", "lr_key", "lr_value")
        for name in ("w", "b", "w_query", "w_key", "w_value", *factors):
            check_number(self, name, 0.0)
        if self.scale not in SCALES:
            raise ValueError(f'{self!r}: scale must be "1/d" or "1/sqrt(d)", got {self.scale!r}')

    def setup(self, key: PRNGKeyArray, shape: Shape) -> tuple[dict[str, Any], Shape]:
        """`Q`, `K [heads, in, key_size]`, `V [heads, in, value_size]`, `O [heads, value_size, out]`, `B [out]`.

        All are standard normal. `K` is left out where it is `Q`; with `positions`, theirs are under "positions".
        """
        self._check_pixels(shape[:-1])
        keys = iter(jax.random.split(key, 6))
        params, seen = {}, shape
        if self.positions is not None:
            params["positions"], seen = self.positions.setup(next(keys), shape)
        sizes = self.key_size or self.out, self.value_size or self.out
        shapes = {"Q": (seen[-1], sizes[0]), "K": (seen[-1], sizes[0]), "V": (shape[-1], sizes[1])}
        for name, each in (shapes | {"O": (sizes[1], self.out)}).items():
            if name != "K" or self.scale != "1/d":
                params[name] = jax.random.normal(next(keys), (self.heads, *each))
        if self.b is not None:
            params["B"] = jax.random.normal(next(keys), (self.out,))
        return params, (*shape[:-1], self.out)

    def apply(self, params: dict[str, Any], x: Array) -> Array:
        """z = w/√(heads value_size) Σ_h ζ(G) v O + b B, `[n, *pixels, out]`."""
        self._check_pixels(x.shape[1:-1])
        seen = x if self.positions is None else self.positions.apply(params["positions"], x)
        q = _projected(seen, params["Q"], self.w_query)
        k = _projected(seen, params["Q" if self.scale == "1/d" else "K"], self.w_key)
        G = jnp.einsum("nhak,nhik->nhai", q, k) / q.shape[-1] ** SCALES[self.scale]
        keys = None if self.keys is None else self.keys[0][:, None, None]
        v = jnp.einsum("nhai,nhiv->nahv", attention(self.scores, G, keys), _projected(x, params["V"], self.w_value))
        scale = jnp.asarray(self.w, x.dtype) / prod(v.shape[2:]) ** 0.5
        z = scale * jnp.einsum("nahv,hvo->nao", v, params["O"]).reshape(*x.shape[:-1], self.out)
        if self.b is None:
            return z
        bias = jnp.asarray(self.b, x.dtype) * params["B"]
        return z + bias.reshape((1,) * (z.ndim - 1) + bias.shape)

    def cov(self, k: Cov) -> Cov:
        """The rule of the chosen scale; channels come out Gaussian and freshly weighted."""
        self._check_pixels(k.pixel_shape)
        k = paired(self, k)
        seen = k if self.positions is None else self.positions.cov(k)
        if self.scale == "1/d":
            of_values = ntk_share(self.w_value, None, self.lr_value, 1.0, k.nngp.dtype)
            seen_values = sure_scores(self.scores, k, seen, self._strength(k), self.keys)
            values = fresh_weights(seen_values, self.w_value, None, of_values)
        elif self.scores is not None:
            rates = self.lr_value, self.lr_query + self.lr_key
            values = gaussian_scores(self.scores, k, seen, self._strength(k), self.w_value, rates)
        else:
            raise ValueError(
                f'{self!r}: with scale="1/sqrt(d)" scores are Gaussian at infinite width, and the expectation of a '
                'product of two softmaxes has no closed form; use scale="1/d", or scores=Identity() or another '
                "elementwise nonlinearity"
            )
        return fresh_weights(values, self.w, self.b, ntk_share(self.w, self.b, self.lr_w, self.lr_b, k.nngp.dtype))

    def demand(self, need: Demand) -> Demand:
        """Every pair: every pixel looks at all of them."""
        return Demand.EVERY

    def _strength(self, k: Cov) -> Array:
        return jnp.asarray(self.w_query, k.nngp.dtype) * jnp.asarray(self.w_key, k.nngp.dtype)

    def _check_pixels(self, pixels: tuple[int, ...]) -> None:
        if not pixels:
            raise ValueError(
                f"{self!r}: wanted inputs with pixels, [n, *pixels, channels], got vectors [n, channels], in which "
                "there is nothing to attend to; use Dense"
            )


def _projected(x: Array, W: Array, std: float | Float[Array, ""]) -> Array:
    """std/√fan_in x W for every head, `[n, heads, pixels, size]`."""
    flat = x.reshape(len(x), -1, x.shape[-1])
    return jnp.einsum("npc,hcd->nhpd", flat, W) * (jnp.asarray(std, x.dtype) / W.shape[1] ** 0.5)
