"""How the tensors of a network's hierarchy of kernels fall with the width."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int

from ..finite import hierarchy
from ..nn import Layer
from .perceptron import Perceptron, checked_vectors
from .slope import Slope, fit_slope, root_mean_square
from .width_family import WidthFamily


@dataclass(frozen=True)
class HierarchyScaling:
    """Sizes of the tensors O_s and of dΘ/dt over widths and seeds, and their exponents. Printable.

    `widths [n]`. `tensors`: by s the mean over inputs of O_s(x, …, x), with its sign, `[n, S]`. Its size over seeds is
    the root mean square for odd s and |the mean| for even s; with one hidden layer both are powers of N exactly.
    `velocity [n, S]`: root mean square over entries of dΘ/dt = −1/D Σ_α O_3(·, ·, α) (f_α − y_α) under square loss.
    `naive [n, S]`: that of Σ_i |summand of unit i|, what dΘ/dt would be if the units did not cancel; None for more than
    one hidden layer. `readout_mean`: of the readout weights.
    """

    widths: Int[np.ndarray, " n"]
    tensors: dict[int, Float[np.ndarray, "n S"]]
    velocity: Float[np.ndarray, "n S"]
    naive: Float[np.ndarray, "n S"] | None
    readout_mean: float = 0.0

    def expected(self, order: int) -> float:
        """The exponent of O_s: 1 − ⌈s/2⌉, and 1 − s/2 where the readout weights have a mean."""
        return 1.0 - (order / 2 if self.readout_mean else (order + 1) // 2)

    def slope(self, order: int) -> Slope:
        """The exponent of the size of O_s over seeds, with its bootstrap interval."""
        return fit_slope(self.widths, self.tensors[order], root_mean_square if order % 2 else _mean_size)

    @property
    def velocity_slope(self) -> Slope:
        """The exponent of dΘ/dt: that of O_3."""
        return fit_slope(self.widths, self.velocity)

    @property
    def naive_slope(self) -> Slope | None:
        """The exponent of the count without signs: −½, an upper bound of dΘ/dt alone."""
        return None if self.naive is None else fit_slope(self.widths, self.naive)

    def __str__(self) -> str:
        rows = [(f"O_{s}", self.expected(s), self.slope(s)) for s in self.tensors]
        rows.append(("dΘ/dt", self.expected(3), self.velocity_slope))
        naive = self.naive_slope
        if naive is not None:
            rows.append(("Σ|dΘ/dt|", -0.5, naive))
        table = [f"{name:9} {theory:6.1f}   {slope}" for name, theory, slope in rows]
        return "\n".join([f"exponents over widths {self.widths.tolist()}", "          theory   measured", *table])

    __repr__ = __str__


def hierarchy_scaling(
    net: Layer,
    x: Any,
    y: Any,
    widths: Sequence[int],
    order: int = 4,
    seeds: int = 200,
    readout_mean: float = 0.0,
    seed: int = 0,
) -> HierarchyScaling:
    """Measure how O_2 … O_order and the NTK's velocity at initialisation fall with the width.

    `net`: Dense, nonlinearity, …, Dense(1), hidden layers of the largest width; `widths`: at least four, up to it.
    `x [D, d]`, `y [D]`: training points. `readout_mean`: the mean of the readout weights. With it the symmetry a → −a
    is broken and the bound of the count without signs is reached: odd tensors fall as N^(1 − s/2), dΘ/dt as 1/√N, for
    a nonlinearity that is not odd (for tanh the symmetry z → −z of the first layer does what a → −a did). The outputs
    then grow as √N at the start and are subtracted: the residual is −y.
    Float64. Cost: one compilation (6 s to order 4, 30 s to order 6) and D^(order − 1) Jacobian-vector products of the
    widest network for each width and seed.
    Errors: ValueError for other networks, orders below 3, widths out of range, and as `fit_slope`.
    Source: Dyer & Gur-Ari 2020; Huang & Yau 2020.

    ```python
    net = nn.Serial(nn.Dense(512), nn.Tanh(), nn.Dense(1))
    print(hierarchy_scaling(net, x, y, widths=[32, 64, 128, 256, 512]))
    ```
    """
    family, x = WidthFamily(net), checked_vectors(x, "hierarchy_scaling")
    y = np.asarray(y, np.float64).reshape(-1)
    sizes = family.checked(widths, "hierarchy_scaling")
    dense = Perceptron.of(net, "hierarchy_scaling").dense
    if order < 3 or dense[-1].out != 1 or len(y) != len(x):
        raise ValueError(
            f"hierarchy_scaling: wanted an order of at least 3, one output and one target for each of {len(x)} inputs, "
            f"got order {order}, {dense[-1].out} outputs and {len(y)} targets"
        )
    with jax.enable_x64(True):
        drawn = [jax.random.split(jax.random.fold_in(jax.random.key(seed), int(n)), seeds) for n in sizes]
        measured = partial(_measured, family, jnp.asarray(x), jnp.asarray(y), order, readout_mean)
        found = [measured(keys, int(n)) for keys, n in zip(drawn, sizes, strict=True)]
    tensors = {s: np.stack([each[0][s] for each in found]) for s in range(2, order + 1)}
    velocity = np.stack([each[1] for each in found])
    naive = np.stack([each[2] for each in found]) if len(dense) == 2 else None
    return HierarchyScaling(sizes, tensors, velocity, naive, readout_mean)


def _measured(
    family: WidthFamily, x: Array, y: Array, order: int, mean: float, keys: Array, width: int
) -> tuple[dict[int, np.ndarray], np.ndarray, np.ndarray]:
    return jax.tree.map(np.asarray, _sizes(family.net, x, y, order, keys, jnp.asarray(mean), jnp.asarray(width)))


@partial(jax.jit, static_argnums=3)
def _sizes(net: Layer, x: Array, y: Array, order: int, keys: Array, mean: Array, width: Array) -> Any:
    return jax.lax.map(partial(_of_one, WidthFamily(net), x, y, order, mean, width), keys)


def _of_one(family: WidthFamily, x: Array, y: Array, order: int, mean: Array, width: Array, key: Array) -> Any:
    """Means on the diagonals of the tensors, and root mean squares of the velocities, for one network."""
    (*lower, readout), mask = family.init(key, x, width)
    params = ((*lower, readout | {"W": readout["W"] + mean}), mask)
    tensors = hierarchy(family.apply, params, x, order)
    outputs = family.apply(params, x)[:, 0]
    slopes = (jnp.where(mean == 0, outputs, 0) - y) / len(y)
    velocity = tensors[3] @ slopes
    naive = _unsigned_velocity(family, params, x, slopes) if len(lower) == 2 else velocity
    own = jnp.arange(len(x))
    return {s: jnp.mean(tensor[(own,) * s]) for s, tensor in tensors.items()}, _rms(velocity), _rms(naive)


def _unsigned_velocity(family: WidthFamily, params: Any, x: Array, slopes: Array) -> Array:
    """Σ_i |summand of unit i in dΘ/dt(x_a, x_b)| of a network with one hidden layer, `[D, D]`."""
    (first, _, readout), mask = params
    perceptron = Perceptron.of(family.net, "hierarchy_scaling")
    dense, phi = perceptron.dense, perceptron.activations[0].phi
    z = dense[0].apply(first, x)
    derivative, curvature = jax.grad(lambda u: phi(u)), jax.grad(jax.grad(lambda u: phi(u)))
    p, p1, p2 = phi(z), *(jax.vmap(jax.vmap(g))(z) for g in (derivative, curvature))
    bias = 0.0 if dense[0].b is None else dense[0].b
    k = dense[0].w ** 2 * x @ x.T / x.shape[1] + bias**2
    a = readout["W"][:, 0]
    once = 2 * jnp.einsum("ai,bi,ci,ab,c->abi", p1, p1, p, k, slopes)
    once += jnp.einsum("ai,bi,ci,ac,c->abi", p1, p, p1, k, slopes)
    once += jnp.einsum("ai,bi,ci,bc,c->abi", p, p1, p1, k, slopes)
    cubed = jnp.einsum("ai,bi,ci,ab,ac,c->abi", p2, p1, p1, k, k, slopes)
    cubed += jnp.einsum("ai,bi,ci,ab,bc,c->abi", p1, p2, p1, k, k, slopes)
    summands = jnp.abs(a[None, None] * once + a[None, None] ** 3 * cubed) * mask.astype(x.dtype)[None, None]
    return dense[1].w ** 3 * jnp.sum(mask).astype(x.dtype) ** -1.5 * jnp.sum(summands, axis=-1)


def _rms(tensor: Array) -> Array:
    return jnp.sqrt(jnp.mean(tensor**2))


def _mean_size(samples: Float[np.ndarray, "n S"]) -> Float[np.ndarray, " n"]:
    return np.abs(samples.mean(axis=-1))
