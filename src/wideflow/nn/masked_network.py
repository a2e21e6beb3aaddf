"""Networks on inputs of different sizes."""

from collections.abc import Iterable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Int, PRNGKeyArray

from .combine import Serial
from .cov import Cov
from .demand import Demand
from .layer import Layer, Shape
from .learning_rates import learning_rates
from .per_input import Weigh
from .powers import Identity
from .reparameterize import Place, rescaled
from .sized import moves_pixels, sized
from .sizes import Sizes, box
from .values import values_of
from .width import width


class MaskedNetwork(Layer):
    """Layers on inputs of different sizes: sequences of any length, images of any height and width.

    It is the whole network, or its first part that leaves no pixels. Inputs are `nn.pack_inputs([x_1, x_2, …])`: one
    array `[n, *pixels, 1 + channels]` whose first channel is 1 at the pixels of an input and 0 where it was filled up,
    so that they go wherever arrays go: into `init`, `apply`, `Kernel` and the tiles of `gram`. Padding never shows: the
    finite network gives for every input what it would give for it alone, in an array of its own size, and the kernel
    between two inputs is that of the infinitely wide network on both at their own sizes. Outputs that have pixels are
    zero outside. Parameters: those of `Serial`.

    - Windows of convolutions and pools begin and end where the input does, with any stride and padding. Where "same"
      with a stride puts them elsewhere in inputs of another size, and for "circular", every pair of pixels is needed.
    - GlobalAvgPool, `normalise_edges` and softmax count the input's own pixels. Index counts from its own end. Resize
      interpolates every input from its own pixels, to one shape or by one factor.
    - Layers tied to positions (ConvLocal, Positions, and weights after Flatten) have parameters for the positions of
      the largest array; an input uses those of its own. Flatten divides by the input's own number of pixels.
    - Graphs of different sizes: `GraphNetwork(MaskedNetwork(Aggregate(), …))` on `pack_graphs(pack_inputs(x), A)`, with
      rows and columns of zeros in A where a graph has no node.

    Refused with a ValueError: layers that are not known (see `nn.sized`), LinearMap along axes in which sizes differ
    (a matrix has a meaning for one number of pixels alone) and inputs of which a layer leaves nothing (both give NaN
    inside JAX transformations, where sizes are not known), inputs without a mask, and kernels where it is not the first
    layer, or not the last while pixels are left.

    ```python
    net = nn.MaskedNetwork(nn.Conv(64, 3), nn.Relu(), nn.GlobalAvgPool(), nn.Dense(1))
    x = nn.pack_inputs(sequences)  # each [length_i, channels]
    k = wf.Kernel(net)(x)
    ```
    """

    net: Serial

    def __init__(self, *layers: Layer):
        self.net = Serial(*layers)

    def unpack(self, x: Array) -> tuple[Array, Int[Array, "n axes"]]:
        """Inputs `[n, *pixels, channels]`, zero outside, and their sizes. ValueError for what is no mask."""
        pixels = self.features(x.shape[1:])[:-1]
        axes = range(1, 1 + len(pixels))
        inside = x[..., 0] != 0
        sizes = [jnp.sum(jnp.any(inside, axis=tuple(a for a in axes if a != axis)), axis=1) for axis in axes]
        sizes = jnp.stack(sizes, axis=1).astype(jnp.int32)
        _check_mask(values_of(sizes), values_of(x[..., 0] == box(sizes, pixels).astype(x.dtype)))
        return jnp.where(inside[..., None], x[..., 1:], 0), sizes

    def on(self, first: Array, second: Array, pixels: tuple[int, ...]) -> tuple[Layer, Layer]:
        """The layers for inputs of these sizes, without their mask; and what makes zeros of outputs outside."""
        net, after = sized(self.net, Sizes(first, second, pixels))
        return net, Identity() if after is None else Weigh(*after.inside())

    def setup(self, key: PRNGKeyArray, shape: Shape) -> tuple[tuple[Any, ...], Shape]:
        """The layers' parameters, for the inputs without their mask."""
        return self.net.setup(key, self.features(shape))

    def apply(self, params: tuple[Any, ...], x: Array) -> Array:
        """The layers in order, on each input as if alone."""
        features, sizes = self.unpack(x)
        net, cleared = self.on(sizes, sizes, x.shape[1:-1])
        return cleared.apply((), net.apply(params, features))

    def cov(self, k: Cov) -> Cov:
        """Raises ValueError: sizes cannot be told from a covariance."""
        raise ValueError(
            "MaskedNetwork: its kernel is known for packed inputs alone; make it the first layer of the network, "
            "before any sum or residual connection"
        )

    def demand(self, need: Demand) -> Demand:
        """What the layers need; every pair where one of them moves pixels."""
        parts = jax.tree.leaves(self.net, is_leaf=moves_pixels)
        return Demand.EVERY if any(map(moves_pixels, parts)) else self.net.demand(need)

    def features(self, shape: Shape) -> Shape:
        """The shape of one input without its mask."""
        if len(shape) < 2 or shape[-1] < 2:
            raise ValueError(
                f"MaskedNetwork: wanted packed inputs [n, *pixels, 1 + channels], got inputs of shape {shape}; make "
                "them with nn.pack_inputs([x_1, x_2, …])"
            )
        return (*shape[:-1], shape[-1] - 1)

    def __repr__(self) -> str:
        return f"MaskedNetwork({', '.join(map(repr, self.net.layers))})"


def pack_inputs(inputs: Iterable[Any], pixels: tuple[int, ...] | None = None) -> np.ndarray:
    """Inputs `[*pixels_i, channels]` of any sizes as one batch `[n, *pixels, 1 + channels]`, for `MaskedNetwork`.

    `pixels`: of the batch; None: as few as hold all inputs. Batches that meet in a kernel need one number of pixels.
    Raises ValueError for inputs that do not fit together, or into `pixels`.
    """
    arrays = list(map(np.asarray, inputs))
    if not arrays:
        raise ValueError("pack_inputs: wanted at least one input, got none")
    if any(x.ndim < 2 or 0 in x.shape for x in arrays) or len({(x.ndim, x.shape[-1]) for x in arrays}) > 1:
        raise ValueError(
            "pack_inputs: wanted inputs [*pixels, channels] with one number of axes and of channels, got shapes "
            f"{', '.join(map(str, sorted({x.shape for x in arrays})))}"
        )
    largest = tuple(np.max([x.shape[:-1] for x in arrays], axis=0).tolist())
    pixels = largest if pixels is None else pixels
    if len(pixels) != len(largest) or any(n > m for n, m in zip(largest, pixels, strict=True)):
        raise ValueError(f"pack_inputs: inputs of up to {largest} pixels do not fit into pixels={pixels}")
    packed = np.zeros((len(arrays), *pixels, 1 + arrays[0].shape[-1]), np.result_type(*arrays))
    for row, x in zip(packed, arrays, strict=True):
        place = row[tuple(map(slice, x.shape[:-1]))]
        place[..., 0], place[..., 1:] = 1, x
    return packed


@width.register(MaskedNetwork)
def _(layer: MaskedNetwork, before: int | None = None) -> int | None:
    return width(layer.net)


@learning_rates.register(MaskedNetwork)
def _(layer: MaskedNetwork, params: Any) -> Any:
    return learning_rates(layer.net, params)


@rescaled.register(MaskedNetwork)
def _(layer: MaskedNetwork, place: Place) -> Layer:
    inner = rescaled(layer.net, place._replace(shape=layer.features(place.shape)))
    return eqx.tree_at(lambda net: net.net, layer, inner)


def _check_mask(sizes: np.ndarray | None, is_right: np.ndarray | None) -> None:
    """ValueError for what is no mask of an input with pixels, where it is known."""
    if sizes is None or is_right is None:
        return
    bad = np.flatnonzero(~(is_right.reshape(len(sizes), -1).all(axis=1) & (sizes > 0).all(axis=1)))
    if len(bad):
        raise ValueError(
            "MaskedNetwork: the first channel must be 1 at the pixels of an input, which begin at the first pixel and "
            f"fill a box, and 0 outside; in {len(bad)} of {len(sizes)} inputs it is not, the first is row {bad[0]}. "
            "Pack inputs with nn.pack_inputs([x_1, x_2, …])"
        )
