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
from .dense import Dense, fresh_weights
from .hyperparameter import check_count, check_number
from .layer import Layer, Shape
from .mixing import paired
from .positions import Positions
from .scaling import Scaling, check_scaling, own_kernel, scales

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
    all traced. `parameterization` (of queries, keys and values, and of outputs) and `channels` are written by
    `reparameterize`. `scores`: ζ, an elementwise nonlinearity (`Identity()`, `Relu()` …), None: softmax over i.
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
    parameterization: str | tuple[Scaling, Scaling] = eqx.field(static=True, default="ntk")
    channels: float | Float[Array, ""] | None = None
    keys: Keys = None  # while MaskedNetwork works

    def __check_init__(self):
        for name in ("out", "heads", "key_size", "value_size"):
            size = getattr(self, name)
            if size is not None:
                check_count(self, name)
            if size is not None and size < 1:
                raise ValueError(f"{self!r}: {name} must be at least 1, got {size}")
        factors = ("lr_w", "lr_b", "lr_query", "lr_key", "lr_value")
        for name in ("w", "b", "w_query", "w_key", "w_value", *factors):
            check_number(self, name, 0.0)
        if self.scores is not None and not isinstance(self.scores, Activation):
            raise TypeError(
                f"SelfAttention: scores must be a nonlinearity, as Relu(), or None for softmax, got {self.scores!r}"
            )
        if self.scale not in SCALES:
            raise ValueError(f'{self!r}: scale must be "1/d" or "1/sqrt(d)", got {self.scale!r}')
        check_scaling(self)

    def matrix(self, name: str) -> Dense:
        """What makes queries "Q", keys "K", values "V" (all heads together) or outputs "O", as a layer with weights."""
        inner, last = self.parameterization if isinstance(self.parameterization, tuple) else ("ntk", "ntk")
        values = self.heads * (self.value_size or self.out)
        if name == "O":
            return Dense(self.out, self.w, self.b, self.lr_w, self.lr_b, last, float(values))
        if name == "V":
            return Dense(values, self.w_value, None, self.lr_value, 1.0, inner, self.channels)
        added = self.positions.channels if self.positions is not None else None
        channels = self.channels if self.channels is None or added is None else float(sum(added))
        w, lr = (self.w_query, self.lr_query) if name == "Q" else (self.w_key, self.lr_key)
        if self.scale == "1/d" and isinstance(self.parameterization, tuple):  # drawn once for both
            w, lr = (self.w_query * self.w_key) ** 0.5, self.lr_query
        return Dense(self.heads * (self.key_size or self.out), w, None, lr, 1.0, inner, channels)

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
                normal = jax.random.normal(next(keys), (self.heads, *each))
                shape_of_all = (self.heads * each[0], each[1]) if name == "O" else each
                params[name] = normal * scales(self.matrix(name), shape_of_all, normal.dtype).weight_std
        if self.b is not None:
            normal = jax.random.normal(next(keys), (self.out,))
            params["B"] = normal * scales(self.matrix("O"), (self.heads * sizes[1], self.out), normal.dtype).bias_std
        return params, (*shape[:-1], self.out)

    def apply(self, params: dict[str, Any], x: Array) -> Array:
        """z = w/√(heads value_size) Σ_h ζ(G) v O + b B, `[n, *pixels, out]`."""
        self._check_pixels(x.shape[1:-1])
        seen = x if self.positions is None else self.positions.apply(params["positions"], x)
        q = _projected(seen, params["Q"], self.matrix("Q"))
        k = _projected(seen, params["Q" if self.scale == "1/d" else "K"], self.matrix("K"))
        G = jnp.einsum("nhak,nhik->nhai", q, k) / q.shape[-1] ** SCALES[self.scale]
        keys = None if self.keys is None else self.keys[0][:, None, None]
        v = jnp.einsum("nhai,nhiv->nahv", attention(self.scores, G, keys), _projected(x, params["V"], self.matrix("V")))
        scale = scales(self.matrix("O"), (prod(v.shape[2:]), self.out), x.dtype)
        z = scale.weight * jnp.einsum("nahv,hvo->nao", v, params["O"]).reshape(*x.shape[:-1], self.out)
        if self.b is None:
            return z
        bias = scale.bias * params["B"]
        return z + bias.reshape((1,) * (z.ndim - 1) + bias.shape)

    def cov(self, k: Cov) -> Cov:
        """The rule of the chosen scale; channels come out Gaussian and freshly weighted."""
        self._check_pixels(k.pixel_shape)
        k = paired(self, k)
        seen = k if self.positions is None else self.positions.cov(k)
        if self.scale == "1/d":
            seen_values = sure_scores(self.scores, k, seen, self._strength(k), self.keys)
            values = fresh_weights(seen_values, self.w_value, None, own_kernel(self.matrix("V"), 1, k.nngp.dtype))
        elif self.scores is not None:
            values = gaussian_scores(self.scores, k, seen, self._strength(k), self.w_value, self.own(k.nngp.dtype))
        else:
            raise ValueError(
                f'{self!r}: with scale="1/sqrt(d)" scores are Gaussian at infinite width, and the expectation of a '
                'product of two softmaxes has no closed form; use scale="1/d", or scores=Identity() or another '
                "elementwise nonlinearity"
            )
        return fresh_weights(values, self.w, self.b, own_kernel(self.matrix("O"), 1, k.nngp.dtype))

    def demand(self, need: Demand) -> Demand:
        """Every pair: every pixel looks at all of them."""
        return Demand.EVERY

    def _strength(self, k: Cov) -> Array:
        return jnp.asarray(self.w_query, k.nngp.dtype) * jnp.asarray(self.w_key, k.nngp.dtype)

    def own(self, dtype: Any) -> tuple[Array, Array]:
        """What the weights of the values put into the NTK times their K, and those of queries and keys times S S."""
        squares = {"Q": self.w_query, "K": self.w_key, "V": self.w_value}
        squares = {name: jnp.asarray(w, dtype) ** 2 for name, w in squares.items()}
        own = {name: (own_kernel(self.matrix(name), 1, dtype) or (square,))[0] for name, square in squares.items()}
        return own["V"], squares["K"] * own["Q"] + squares["Q"] * own["K"]

    def _check_pixels(self, pixels: tuple[int, ...]) -> None:
        if not pixels:
            raise ValueError(
                f"{self!r}: wanted inputs with pixels, [n, *pixels, channels], got vectors [n, channels], in which "
                "there is nothing to attend to; use Dense"
            )


def _projected(x: Array, W: Array, layer: Dense) -> Array:
    """w/√fan_in x W for every head, `[n, heads, pixels, size]`."""
    flat = x.reshape(len(x), -1, x.shape[-1])
    return jnp.einsum("npc,hcd->nhpd", flat, W) * scales(layer, W.shape[1:], x.dtype).weight
