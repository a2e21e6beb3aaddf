"""What layers make of inputs of different sizes that share padded arrays: the pass behind `MaskedNetwork`."""

import dataclasses
from functools import singledispatch
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from .activation import Activation
from .attention import SelfAttention
from .combine import Residual, Serial
from .conv import Conv
from .conv_transpose import ConvTranspose
from .dense import Dense
from .dropout import Dropout
from .embedding import Embedding
from .flatten import Flatten
from .graph import Aggregate
from .index import Index
from .layer import Layer
from .norm import RMSNorm
from .parallel import Parallel
from .per_input import Framed, Gather, Weigh
from .pool import AvgPool, GlobalAvgPool, GlobalSumPool, SumPool
from .positions import Positions
from .powers import Identity
from .repeat import Repeat
from .sizes import Sizes
from .slide import Slide
from .values import values_of
from .window import Window

Sized = tuple[Layer, Sizes | None]


@singledispatch
def sized(layer: Layer, sizes: Sizes) -> Sized:
    """The layer as it acts on inputs of these sizes, each as if alone in an array of its own size, and their new sizes.

    None in place of sizes says that no pixels are left. A rule may rely on nothing outside an input, and what it leaves
    there means nothing: a layer that acts at every pixel alone stays as it is, and one that mixes pixels takes those
    outside for zero or never sees them. ValueError for kinds of layers that are not known; one of your own that acts at
    every pixel alone is made known by

    ```python
    nn.sized.register(MyLayer)(lambda layer, sizes: (layer, sizes))
    ```
    """
    raise ValueError(
        f"MaskedNetwork: it is not known what {layer!r} makes of inputs of different sizes; bring them to one size "
        "before, or register a rule with nn.sized.register"
    )


@sized.register(Activation)
@sized.register(Dense)
@sized.register(RMSNorm)
@sized.register(Positions)
@sized.register(Embedding)
def _(layer: Layer, sizes: Sizes) -> Sized:
    return layer, sizes


@sized.register(Dropout)
def _(layer: Dropout, sizes: Sizes) -> Sized:
    """Inputs of different sizes are different."""
    return dataclasses.replace(layer, sizes=(sizes.first, sizes.second)), sizes


@sized.register(Serial)
def _(layer: Serial, sizes: Sizes) -> Sized:
    parts, now = [], sizes
    for part in layer.layers:
        part, now = (part, None) if now is None else sized(part, now)
        parts.append(part)
    return Serial(*parts), now


@sized.register(Residual)
def _(layer: Residual, sizes: Sizes) -> Sized:
    return eqx.tree_at(lambda r: r.branch, layer, sized(layer.branch, sizes)[0]), sizes


@sized.register(Repeat)
def _(layer: Repeat, sizes: Sizes) -> Sized:
    return Repeat(sized(layer.layer, sizes)[0], layer.times), sizes


@sized.register(Parallel)
def _(layer: Parallel, sizes: Sizes) -> Sized:
    branches, after = zip(*(sized(branch, sizes) for branch in layer.branches), strict=True)
    if not all(_agree(after[0], other) for other in after):
        raise ValueError(f"{layer!r}: its branches must leave the same pixels of every input, whatever its size")
    return eqx.tree_at(lambda p: p.branches, layer, branches), after[0]


def _agree(one: Sizes | None, two: Sizes | None) -> bool:
    """Whether two sizes are the same, as far as they are known."""
    if one is None or two is None:
        return one is two
    pairs = ((values_of(a), values_of(b)) for a, b in ((one.first, two.first), (one.second, two.second)))
    return all(a is None or b is None or np.array_equal(a, b) for a, b in pairs)


# Windows. Those that see the same places of inputs of every size stay, with zeros outside the inputs; for others each
# input is moved so that its windows begin where those of the array do, with what its own padding adds.


@sized.register(Conv)
def _(layer: Conv, sizes: Sizes) -> Sized:
    before, padding = _aligned(layer._window, sizes)
    return Framed(before, dataclasses.replace(layer, padding=padding), Identity()), _after(layer, layer._window, sizes)


@sized.register(SumPool)
def _(layer: SumPool, sizes: Sizes) -> Sized:
    before, padding = _aligned(layer._window, sizes)
    after = _after(layer, layer._window, sizes)
    if not (isinstance(layer, AvgPool) and layer.normalise_edges):
        return Framed(before, dataclasses.replace(layer, padding=padding), Identity()), after
    return Framed(before, SumPool(layer.window, layer.stride, padding), _over_seen(layer._window, sizes)), after


@sized.register(ConvTranspose)
def _(layer: ConvTranspose, sizes: Sizes) -> Sized:
    if layer.padding == "circular":
        raise ValueError(f'{layer!r}: circular padding is not known for inputs of different sizes; use padding="same"')
    counts = [
        [0, *(layer.slide(n * stride, size, stride, dilation).count for n in range(1, length + 1))]
        for length, size, stride, dilation in layer._window.axes(sizes.pixels)
    ]
    return Framed(_cleared(sizes), layer, Identity()), sizes.become(layer, counts)


def _by_length(window: Window, sizes: Sizes) -> list[list[Slide | None]]:
    """For each axis the window along every length from 0 to that of the array, None where it does not fit.

    ValueError where it does not fit into the array.
    """
    window.slides(sizes.pixels)
    return [[_fitting(window, n, *rest) for n in range(length + 1)] for length, *rest in window.axes(sizes.pixels)]


def _fitting(window: Window, length: int, size: int, stride: int, dilation: int) -> Slide | None:
    too_short = length < ((size - 1) * dilation + 1 if window.padding == "valid" else 1)
    return None if too_short else window.slide(length, size, stride, dilation)


def _after(layer: Layer, window: Window, sizes: Sizes) -> Sizes:
    return sizes.become(layer, [[s.count if s else 0 for s in slides] for slides in _by_length(window, sizes)])


def _aligned(window: Window, sizes: Sizes) -> tuple[Layer, str]:
    """What brings inputs into place for a window, and the padding that is then left to it."""
    if window.padding == "valid":  # windows inside an input see nothing outside
        return Identity(), "valid"
    if window.is_aligned:
        return _cleared(sizes), "same"
    each = zip(_by_length(window, sizes), window.slides(sizes.pixels), strict=True)
    tables = [np.stack([_places(slide, whole) for slide in slides]) for slides, whole in each]
    return Gather(tuple(sizes.of_each(axis, table) for axis, table in enumerate(tables))), "valid"


def _places(slide: Slide | None, whole: Slide) -> np.ndarray:
    """For each pixel of the padded array that `whole` slides over, the pixel of an input that `slide` has there.

    Past the end of the array for added zeros, see `Gather`.
    """
    wanted = np.arange((whole.count - 1) * whole.stride + whole.span, dtype=np.int32)
    if slide is None:
        return np.full_like(wanted, whole.length)
    place = wanted - slide.low
    if slide.wraps:
        return place % slide.length
    return np.where((place >= 0) & (place < slide.length), place, whole.length)


def _over_seen(window: Window, sizes: Sizes) -> Weigh:
    """One over the number of an input's own pixels that each window sees."""
    first, second = jnp.ones(len(sizes.first)), jnp.ones(len(sizes.second))
    for axis, (slides, whole) in enumerate(zip(_by_length(window, sizes), window.slides(sizes.pixels), strict=True)):
        table = np.stack([_shares(slide, whole.count) for slide in slides])
        one, two = (own.reshape(len(own), *(1,) * axis, -1) for own in sizes.of_each(axis, table))
        first, second = first[..., None] * one, second[..., None] * two
    return Weigh(first, second)


def _shares(slide: Slide | None, most: int) -> np.ndarray:
    """One over the number of pixels that every window sees; 1 for windows outside, up to `most`."""
    seen = np.ones(most)
    if slide:
        seen[: slide.count] = np.maximum(slide.seen, 1)
    return 1 / seen


# Layers that see all pixels at once.


def _cleared(sizes: Sizes) -> Weigh:
    """Zeros outside the inputs."""
    return Weigh(*sizes.inside())


@sized.register(GlobalSumPool)
def _(layer: GlobalSumPool, sizes: Sizes) -> Sized:
    return Framed(_cleared(sizes), layer, Identity()), None


@sized.register(GlobalAvgPool)
def _(layer: GlobalAvgPool, sizes: Sizes) -> Sized:
    return Framed(_cleared(sizes), GlobalSumPool(), Weigh(*(1 / n for n in sizes.counts()))), None


@sized.register(Flatten)
def _(layer: Flatten, sizes: Sizes) -> Sized:
    """Weights that follow belong to positions; inputs share those of the positions that both have."""
    root = np.sqrt(np.prod(sizes.pixels)).item()  # of all channels, whose mean becomes one over those of the input
    return Framed(_cleared(sizes), layer, Weigh(*(root / jnp.sqrt(n) for n in sizes.counts()))), None


@sized.register(SelfAttention)
def _(layer: SelfAttention, sizes: Sizes) -> Sized:
    keys = tuple(box.reshape(len(box), -1) for box in sizes.boxes())
    seeing = eqx.tree_at(lambda a: a.keys, layer, keys, is_leaf=lambda leaf: leaf is None)
    return Framed(_cleared(sizes), seeing, Identity()), sizes


@sized.register(Aggregate)
def _(layer: Aggregate, sizes: Sizes) -> Sized:
    """A node outside an input is one without edges."""
    if layer.adjacency is not None and layer.normalise == "mean":
        raise ValueError(
            f"{layer!r}: with one graph for all inputs, an input that lacks nodes would need means of its own; use "
            'normalise="sum", or give every input its graph in a GraphNetwork'
        )
    return Framed(_cleared(sizes), layer, Identity()), sizes


@sized.register(Index)
def _(layer: Index, sizes: Sizes) -> Sized:
    chosen = [_chosen(layer, axis, sizes.pixels) for axis in range(len(sizes.pixels))]
    counts = [[len(places) for places in each] for each in chosen]
    if any(max(count) > count[-1] for count in counts):
        raise ValueError(f"{layer!r}: keeps more pixels of some inputs than of larger ones")
    is_kept = [isinstance(p, tuple) for p in layer.positions(sizes.pixels)]
    after = sizes.become(layer, counts)
    before, now = Identity(), layer
    if not layer.is_aligned:
        tables = [np.stack([_filled(p, each[-1], len(each) - 1) for p in each]) for each in chosen]
        before = Gather(tuple(sizes.of_each(axis, table) for axis, table in enumerate(tables)))
        now = Index(*(slice(None) if kept else 0 for kept in is_kept))
    return Framed(before, now, Weigh(*after.present())), after.only(np.flatnonzero(is_kept).tolist())


def _chosen(layer: Index, axis: int, pixels: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The pixels along one axis that are taken of inputs of every length, from 0 to that of the array."""
    layer.positions(pixels)
    found: list[tuple[int, ...]] = [()]
    for length in range(1, pixels[axis] + 1):
        try:
            place = layer.positions((*pixels[:axis], length, *pixels[axis + 1 :]))[axis]
        except ValueError:  # nothing is there
            place = ()
        found.append(place if isinstance(place, tuple) else (place,))
    return found


def _filled(places: tuple[int, ...], whole: tuple[int, ...], outside: int) -> np.ndarray:
    """The places, and `outside` up to as many as there are in the whole array."""
    return np.array([*places, *[outside] * (len(whole) - len(places))])


def moves_pixels(part: Any) -> bool:
    """Whether a layer moves inputs of different sizes, so that every pair of pixels must come into it."""
    if isinstance(part, Conv) and not isinstance(part, ConvTranspose):
        return not part._window.is_aligned
    return isinstance(part, Index) and not part.is_aligned
