"""Sums over neighbours in a graph."""

import hashlib
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import PRNGKeyArray

from ..duals.root import root
from .cov import Cov
from .demand import Demand
from .edges import Adjacency, Edges, neighbours, rows_to_means
from .layer import Layer, Shape
from .mixing import delta_within, distance, paired, ratio
from .values import values_of
from .width import width

NORMALISE = ("sum", "mean")


class Aggregate(Layer):
    """Sums over neighbours in a graph: y_u = Σ_v A_uv x_v for inputs `[n, nodes, channels]`, channel by channel.

    K' = A K A'ᵀ, the same for Θ: nodes of one channel are correlated, so every pair counts (Du et al. 2019).

    `adjacency`: A `[nodes, nodes]`, the same for all inputs, with any weights: a matrix, or a SciPy sparse one, which
    is kept as its edges. A_uv is what node u receives from v, and a node sees itself only where A_uu says so. Left
    out, the graphs come with the inputs, see `GraphNetwork`. `normalise`: "sum", or "mean", which divides each row of
    A by its sum (a node without neighbours gets zero). A is traced. Cost for each pair of inputs, with p nodes and e
    edges: p³ with a matrix, p e with edges. Raises ValueError for what is no adjacency and for inputs it does not fit.

    ```python
    ring = scipy.sparse.csr_array(np.roll(np.eye(6), 1, axis=1))
    nn.Serial(nn.Aggregate(ring), nn.Dense(64), nn.Relu(), nn.Aggregate(ring), nn.GlobalSumPool(), nn.Dense(1))
    ```
    """

    adjacency: Adjacency | None
    normalise: str = eqx.field(static=True)
    graphs: tuple[Array, Array] | None  # [n1, nodes, nodes] and [n2, nodes, nodes], while GraphNetwork works

    def __init__(self, adjacency: Any = None, normalise: str = "sum"):
        if normalise not in NORMALISE:
            raise ValueError(f'Aggregate: normalise must be "sum" or "mean", got {normalise!r}')
        self.adjacency = None if adjacency is None else _adjacency(adjacency)
        self.normalise = normalise
        self.graphs = None

    def on(self, first: Array, second: Array) -> "Aggregate":
        """This layer with the graphs of two batches, `[n, nodes, nodes]`, unless it has one of its own."""
        if self.adjacency is not None:
            return self
        return eqx.tree_at(lambda a: a.graphs, self, (first, second), is_leaf=lambda leaf: leaf is None)

    def within(self, first: Array, second: Array) -> "Aggregate":
        """This layer with its adjacency restricted to the nodes `[n, nodes]` that each input of two batches has."""
        A = self.adjacency
        if isinstance(A, Edges):
            values = jnp.asarray(A.values)
            A = jnp.zeros(A.shape, values.dtype).at[A.rows, A.columns].add(values)
        own = [jnp.where(n[:, :, None] & n[:, None], jnp.asarray(A)[None], 0) for n in (first, second)]
        bare = eqx.tree_at(lambda a: a.adjacency, self, None, is_leaf=lambda leaf: leaf is None)
        return bare.on(*own)

    def setup(self, key: PRNGKeyArray, shape: Shape) -> tuple[tuple[()], Shape]:
        """No parameters; the shape stays."""
        self._check_nodes(shape[:-1])
        return (), shape

    def apply(self, params: tuple[()], x: Array) -> Array:
        """A x, `[n, nodes, channels]`."""
        self._check_nodes(x.shape[1:-1])
        return neighbours(self._sides(x.dtype)[0], x, 0, 1)

    def cov(self, k: Cov) -> Cov:
        """A K A'ᵀ; a linear map of each channel, so Gaussian stays Gaussian."""
        self._check_nodes(k.pixel_shape)
        return _aggregated(paired(self, k), *self._sides(k.nngp.dtype))

    def demand(self, need: Demand) -> Demand:
        """Every pair: even one node mixes different nodes."""
        return Demand.EVERY

    def _sides(self, dtype: Any) -> tuple[Adjacency, Adjacency]:
        """The adjacency of the first and of the second batch, normalised."""
        if self.adjacency is None and self.graphs is None:
            raise ValueError(
                "Aggregate(): no graph is given; give Aggregate(adjacency), or put the layers into a GraphNetwork, "
                "whose inputs bring their graphs"
            )
        sides = self.graphs if self.adjacency is None else (self.adjacency, self.adjacency)
        first, second = jax.tree.map(lambda v: v if v.dtype == np.int32 else jnp.asarray(v, dtype), sides)
        return (first, second) if self.normalise == "sum" else (rows_to_means(first), rows_to_means(second))

    def _check_nodes(self, pixels: tuple[int, ...]) -> None:
        if len(pixels) != 1:
            raise ValueError(f"{self!r}: wanted inputs [n, nodes, channels], with one axis of nodes, got {pixels}")
        side = self.adjacency if self.graphs is None else self.graphs[0]
        if side is not None and side.shape[-1] != pixels[0]:
            raise ValueError(f"{self!r}: the adjacency has {side.shape[-1]} nodes, the input has {pixels[0]}")

    def __repr__(self) -> str:
        shown = [] if self.adjacency is None else [_show(self.adjacency)]
        return f"Aggregate({', '.join(shown + ['normalise=' + repr('mean')] * (self.normalise == 'mean'))})"


@width.register(Aggregate)
def _(layer: Aggregate, before: int | None = None) -> int | None:
    return before


def _adjacency(given: Any) -> Adjacency:
    """A matrix as an array, a SciPy sparse one as edges; ValueError for anything else."""
    if hasattr(given, "tocoo"):
        coo = given.tocoo()
        rows, columns = (np.asarray(index, np.int32) for index in coo.coords)
        matrix = Edges(rows, columns, coo.data, coo.shape[0])
        shape, values = coo.shape, coo.data
    else:
        matrix = given if isinstance(given, Array) else np.asarray(given, None if hasattr(given, "dtype") else float)
        shape, values = matrix.shape, matrix
    if len(shape) != 2 or shape[0] != shape[1] or 0 in shape:
        raise ValueError(f"Aggregate: the adjacency must be a matrix [nodes, nodes], got shape {shape}")
    known = values_of(values)
    if known is not None and not np.all(np.isfinite(known)):
        raise ValueError("Aggregate: the adjacency holds NaN or infinity")
    return matrix


def _show(adjacency: Adjacency) -> str:
    """Size and a digest, so that different graphs print differently."""
    parts = [part for part in map(values_of, jax.tree.leaves(adjacency)) if part is not None]
    if not parts:
        return "…"
    digest = hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()[:12]
    return f"<{adjacency.shape[0]} nodes, {np.count_nonzero(parts[-1])} edges, {digest}>"


@jax.jit
def _aggregated(k: Cov, first: Adjacency, second: Adjacency) -> Cov:
    both = lambda x: neighbours(second, neighbours(first, x, 0, 2), 1, 3)  # noqa: E731
    own = lambda q, A: neighbours(A, neighbours(A, q, 0, 1), 0, 2)  # noqa: E731
    new = k.replace(q1=own(k.q1, first), q2=own(k.q2, second), nngp=both(k.nngp), ntk=both(k.ntk))
    t = ratio(k)
    bound = _difference(k, first, second, t) ** 2
    at_equal = jnp.where(np.eye(bound.shape[-1], dtype=bool)[None, None], bound[..., None], jnp.inf)
    return new.replace(delta=delta_within(new, at_equal, t))


def _difference(k: Cov, first: Adjacency, second: Adjacency, t: Array) -> Array:
    """At least √Var(F − t G) at equal nodes: Σ |A| √Var(f − t g) + Σ |A − A'| √Var(t g), `[n1, n2, nodes]`."""
    size = jax.tree.map(jnp.abs, first)
    gap = neighbours(size, k.equal(distance(k, t)), 0, 2)
    if isinstance(first, Edges) or isinstance(second, Edges) or first.ndim == 2:
        return gap  # one graph for all inputs
    v2 = k.equal(jnp.broadcast_to(k.variances()[1], k.nngp.shape))
    apart = jnp.abs(first[:, None] - second[None])
    return gap + jnp.einsum("ijuv,ijv->iju", apart, t[..., 0] * root(v2))
