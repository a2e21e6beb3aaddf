"""Networks on graphs that come with the inputs."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import PRNGKeyArray

from .combine import Serial
from .cov import Cov
from .demand import Demand
from .graph import Aggregate
from .layer import Layer, Shape
from .learning_rates import learning_rates
from .reparameterize import Place, rescaled
from .width import width


class GraphNetwork(Layer):
    """Layers on graphs that come with the inputs, each input with its own: `GraphNetwork(Aggregate(), Dense(64), …)`.

    It is the first layer of its network, or all of it. Inputs are `nn.pack_graphs(x, adjacency)`, one array `[n, nodes,
    nodes + channels]` of the adjacency `[n, nodes, nodes]` beside the features `x [n, nodes, channels]`, so that they
    go wherever arrays go: into `init`, `apply`, `Kernel` and the tiles of `gram`. Every `Aggregate()` inside uses the
    input's adjacency, all other layers see the features alone. Graphs of fewer nodes have rows of zeros, and count
    those nodes as nodes without edges; `GraphNetwork(MaskedNetwork(…))` leaves them out. Parameters: those of `Serial`.
    Raises ValueError for inputs without room for an adjacency, and for a kernel where it is not the first layer.

    ```python
    net = nn.GraphNetwork(nn.Aggregate(), nn.Dense(64), nn.Relu(), nn.Aggregate(), nn.GlobalSumPool(), nn.Dense(1))
    k = wf.Kernel(net)(nn.pack_graphs(x, adjacency))
    ```
    """

    net: Serial

    def __init__(self, *layers: Layer):
        self.net = Serial(*layers)

    def unpack(self, x: Array) -> tuple[Array, Array]:
        """Features `[n, nodes, channels]` and adjacency `[n, nodes, nodes]` of a packed batch."""
        nodes = self.features(x.shape[1:])[0]
        return x[..., nodes:], x[..., :nodes]

    def on(self, first: Array, second: Array) -> Serial:
        """The layers with the graphs of two batches in them, for features alone."""
        is_aggregate = lambda part: isinstance(part, Aggregate)  # noqa: E731
        bind = lambda part: part.on(first, second) if isinstance(part, Aggregate) else part  # noqa: E731
        return jax.tree.map(bind, self.net, is_leaf=is_aggregate)

    def setup(self, key: PRNGKeyArray, shape: Shape) -> tuple[tuple[Any, ...], Shape]:
        """The layers' parameters, for the features."""
        return self.net.setup(key, self.features(shape))

    def apply(self, params: tuple[Any, ...], x: Array) -> Array:
        """The layers in order, on the features."""
        features, adjacency = self.unpack(x)
        return self.on(adjacency, adjacency).apply(params, features)

    def cov(self, k: Cov) -> Cov:
        """Raises ValueError: graphs cannot be told from a covariance."""
        raise ValueError(
            "GraphNetwork: its kernel is known for packed inputs alone; make it the first layer of the network, before "
            "any sum or residual connection"
        )

    def demand(self, need: Demand) -> Demand:
        """What the layers need."""
        return self.net.demand(need)

    def features(self, shape: Shape) -> Shape:
        """The shape of the features of one packed input."""
        if len(shape) != 2 or shape[1] <= shape[0]:
            raise ValueError(
                f"GraphNetwork: wanted packed inputs [n, nodes, nodes + channels], got inputs of shape {shape}; "
                "make them with nn.pack_graphs(x, adjacency)"
            )
        return shape[0], shape[1] - shape[0]

    def __repr__(self) -> str:
        return f"GraphNetwork({', '.join(map(repr, self.net.layers))})"


def pack_graphs(x: Any, adjacency: Any) -> Any:
    """Features `x [n, nodes, channels]` and their graphs `[n, nodes, nodes]` as one batch, for `GraphNetwork`."""
    if np.shape(adjacency) != (*np.shape(x)[:-1], np.shape(x)[-2]):
        raise ValueError(
            f"pack_graphs: wanted x [n, nodes, channels] and adjacency [n, nodes, nodes], got {np.shape(x)} and "
            f"{np.shape(adjacency)}"
        )
    xp = jnp if isinstance(x, Array) else np
    x = xp.asarray(x)
    return xp.concatenate([xp.asarray(adjacency, x.dtype), x], axis=-1)


@width.register(GraphNetwork)
def _(layer: GraphNetwork, before: int | None = None) -> int | None:
    return width(layer.net)


@learning_rates.register(GraphNetwork)
def _(layer: GraphNetwork, params: Any) -> Any:
    return learning_rates(layer.net, params)


@rescaled.register(GraphNetwork)
def _(layer: GraphNetwork, place: Place) -> Layer:
    inner = rescaled(layer.net, place._replace(shape=layer.features(place.shape)))
    return eqx.tree_at(lambda net: net.net, layer, inner)
