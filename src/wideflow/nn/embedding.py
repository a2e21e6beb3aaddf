"""The embedding of tokens."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, PRNGKeyArray

from .cov import Cov
from .demand import Demand
from .dense import Dense
from .hyperparameter import check_count, check_number
from .layer import Layer, Shape
from .scaling import Scaling, check_scaling, scales


class Embedding(Layer):
    """A vector of weights for each of `tokens` tokens: z_p = w E[t_p], with E ~ N(0, 1) the parameters.

    It is the first layer of its network. Inputs are batches `[n, *pixels, 1]` of tokens, whole numbers from 0 to
    `tokens` − 1 held as float32 or float64: `ids[..., None].astype("float32")`. Infinite width: K = w², Θ = lr_w w²
    where both tokens agree, else 0; the same as `Dense` on one-hot channels, but for its division by their number.

    `tokens`, `out`: how many tokens, how many channels. `w`: standard deviation. `lr_w`: factor of the learning rate, 0
    freezes (see `learning_rates`). Both are traced. `parameterization` is written by `reparameterize`. In `apply`, what
    is no token gives NaN; a kernel of such inputs is a ValueError that names their rows. Raises ValueError for options
    that make no sense, for inputs with other than one channel, and for a kernel where it is not the first layer.

    ```python
    net = nn.Serial(nn.Embedding(1000, 64), nn.Conv(64, 3), nn.Relu(), nn.GlobalAvgPool(), nn.Dense(1))
    k = wf.Kernel(net)(ids[..., None].astype("float32"))  # ids: [n, length]
    ```
    """

    tokens: int = eqx.field(static=True)
    out: int = eqx.field(static=True)
    w: float | Float[Array, ""] = 1.0
    lr_w: float | Float[Array, ""] = 1.0
    parameterization: str | Scaling = eqx.field(static=True, default="ntk")

    def __check_init__(self):
        check_count(self, "tokens")
        check_count(self, "out")
        if self.tokens < 1 or self.out < 1:
            raise ValueError(f"{self!r}: there must be at least one token and one channel, got {self.tokens, self.out}")
        check_number(self, "w", low=0.0)
        check_number(self, "lr_w", low=0.0)
        check_scaling(self)

    @property
    def as_dense(self) -> Dense:
        """The layer with the same weights that one channel enters: that of the token which is there."""
        return Dense(self.out, self.w, lr_w=self.lr_w, parameterization=self.parameterization, channels=1.0)

    def setup(self, key: PRNGKeyArray, shape: Shape) -> tuple[Array, Shape]:
        """One standard normal vector for each token, `[tokens, out]`."""
        self._check_channels(shape)
        E = jax.random.normal(key, (self.tokens, self.out))
        return E * scales(self.as_dense, (1, self.out), E.dtype).weight_std, (*shape[:-1], self.out)

    def apply(self, params: Array, x: Array) -> Array:
        """w E[x], `[n, *pixels, out]`; NaN where there is no such token."""
        self._check_channels(x.shape[1:])
        token, is_token = x[..., 0].astype(int), self.is_token(x)
        z = scales(self.as_dense, (1, self.out), params.dtype).weight * params[jnp.where(is_token[..., 0], token, 0)]
        return jnp.where(is_token, z, jnp.nan)

    def is_token(self, x: Array) -> Array:
        """Whether each number is a whole one from 0 to `tokens` − 1."""
        return (x >= 0) & (x < self.tokens) & (jnp.floor(x) == x)

    def cov(self, k: Cov) -> Cov:
        """Raises ValueError: tokens cannot be told from a covariance."""
        raise ValueError(
            f"{self!r}: its kernel is known for the tokens themselves alone; make it the first layer of the network, "
            "before any sum or residual connection"
        )

    def cov_of_tokens(self, x1: Array, x2: Array, need: Demand) -> Cov:
        """K = w² and Θ = lr_w w² where the tokens of `x1 [n1, *pixels, 1]` and `x2 [n2, *pixels, 1]` agree."""
        self._check_channels(x1.shape[1:])
        return self.as_dense.cov(_agreement(x1[..., 0], x2[..., 0], need))

    def demand(self, need: Demand) -> Demand:
        """Every pixel alone: what the output needs."""
        return need

    def _check_channels(self, shape: Shape) -> None:
        if shape[-1] != 1:
            raise ValueError(
                f"{self!r}: wanted tokens [n, *pixels, 1], got inputs of shape {shape}; add the last axis, x[..., None]"
            )


def _agreement(t1: Array, t2: Array, need: Demand) -> Cov:
    """Covariances of one-hot channels."""
    agree = lambda a, b: (a == b).astype(t1.dtype)  # noqa: E731
    ones = (1,) * (t1.ndim - 1 if need is Demand.EVERY else 0)
    first = lambda t: t.reshape(*t.shape, *ones)  # noqa: E731
    second = lambda t: t.reshape(t.shape[0], *ones, *t.shape[1:])  # noqa: E731
    nngp = agree(first(t1)[:, None], second(t2)[None])
    q1, q2 = (agree(first(t), second(t)) for t in (t1, t2))
    return Cov(q1, q2, nngp, jnp.zeros_like(nngp), 1 - nngp, need)
