"""What layers make of inputs of different sizes that share padded arrays: the pass behind `MaskedNetwork`."""

import dataclasses
from functools import singledispatch
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

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
from .linear_map import LinearMap
from .mix import Mix
from .norm import RMSNorm
from .parallel import Parallel
from .per_input import Framed, Gather, Weigh
from .pool import AvgPool, GlobalAvgPool, GlobalSumPool, SumPool
from .positions import Positions
from .powers import Identity
from .repeat import Repeat
from .resize import Resize, nearest
from .sizes import Sizes
from .slide import Slide
from .values import values_of
from .window import Axis, Padding, Window

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
    counts = [
        [0, *(layer.slide(axis.of(n * axis.stride)).count for n in range(1, axis.length + 1))]
        for axis in layer._window.axes(sizes.pixels)
    ]
    after = sizes.become(layer, counts)
    if not moves_pixels(layer):
        return Framed(_cleared(sizes), layer, Identity()), after
    axes = layer._window.axes(sizes.pixels)
    tables = [np.stack([_spread_places(layer, n, axis) for n in range(axis.length + 1)]) for axis in axes]
    return Framed(_gather(sizes, tables), _convolution(layer), Identity()), after


def _spread_places(layer: ConvTranspose, length: int, axis: Axis) -> np.ndarray:
    """For each place that the windows see of the largest input with its zeros, the pixel of one of `length` pixels.

    That past the end of the array for zeros.
    """
    stride, own = axis.stride, length * axis.stride
    whole = layer.slide(axis.of(axis.length * stride))
    place = np.arange(whole.low + whole.length + whole.high, dtype=np.int32) - whole.low
    place = place % max(own, 1) if whole.wraps else place
    is_pixel = (place >= 0) & (place < own) & (place % stride == 0)
    return np.where(is_pixel, place // stride, axis.length)


def _convolution(layer: ConvTranspose) -> Conv:
    """What is left of a transposed convolution when all zeros are there."""
    options = {field.name: getattr(layer, field.name) for field in dataclasses.fields(layer)}
    return Conv(**(options | {"stride": 1, "padding": "valid"}))


def _gather(sizes: Sizes, tables: list[np.ndarray]) -> Gather:
    return Gather(tuple(sizes.of_each(axis, table) for axis, table in enumerate(tables)))


def _by_length(window: Window, sizes: Sizes) -> list[list[Slide | None]]:
    """For each axis the window along every length from 0 to that of the array, None where it does not fit.

    ValueError where it does not fit into the array.
    """
    window.slides(sizes.pixels)
    axes = window.axes(sizes.pixels)
    return [[_fitting(window, axis.of(n)) for n in range(axis.length + 1)] for axis in axes]


def _fitting(window: Window, axis: Axis) -> Slide | None:
    least = (axis.size - 1) * axis.dilation + 1 if axis.padding == "valid" else 1
    return None if axis.length < least else window.slide(axis)


def _after(layer: Layer, window: Window, sizes: Sizes) -> Sizes:
    return sizes.become(layer, [[s.count if s else 0 for s in slides] for slides in _by_length(window, sizes)])


def _aligned(window: Window, sizes: Sizes) -> tuple[Layer, Padding]:
    """What brings inputs into place for a window, and the padding that is then left to it."""
    if window.padding == "valid":  # windows inside an input see nothing outside
        return Identity(), "valid"
    if window.is_aligned:
        return _cleared(sizes), window.padding
    each = zip(_by_length(window, sizes), window.slides(sizes.pixels), strict=True)
    tables = [np.stack([_places(slide, whole) for slide in slides]) for slides, whole in each]
    return _gather(sizes, tables), "valid"


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


@sized.register(RMSNorm)
def _(layer: RMSNorm, sizes: Sizes) -> Sized:
    """Means over all pixels are over those of the input."""
    return layer if layer.over == "channels" else dataclasses.replace(layer, boxes=sizes.boxes()), sizes


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
        return Framed(_cleared(sizes), layer.within(*sizes.boxes()), Identity()), sizes
    return Framed(_cleared(sizes), layer, Identity()), sizes


@sized.register(Resize)
def _(layer: Resize, sizes: Sizes) -> Sized:
    """Every input is interpolated from its own pixels."""
    counts = [[0, *(layer.length(a, n) for n in range(1, most + 1))] for a, most in enumerate(sizes.pixels)]
    layer.setup(jax.random.key(0), (*sizes.pixels, 1))  # the number of axes is checked
    after = sizes.become(layer, counts)
    each = list(zip(sizes.pixels, counts, strict=True))
    if layer.method == "nearest":
        tables = [np.stack([_copied(n, m, most, count[-1]) for n, m in enumerate(count)]) for most, count in each]
        return Framed(_gather(sizes, tables), Identity(), Identity()), after
    tables = [np.stack([_weights(layer, n, m, most, count[-1]) for n, m in enumerate(count)]) for most, count in each]
    maps = tuple(sizes.of_each(axis, table) for axis, table in enumerate(tables))
    return Framed(_cleared(sizes), Mix(maps), Identity()), after


def _copied(old: int, new: int, most: int, most_new: int) -> np.ndarray:
    """The pixels that are copied, and `most`, past the end of the array, up to `most_new` of them."""
    return np.pad(nearest(old, new) if old else [], (0, most_new - new), constant_values=most).astype(np.int32)


def _weights(layer: Resize, old: int, new: int, most: int, most_new: int) -> np.ndarray:
    """The matrix of an input of `old` pixels, with zeros up to those of the array."""
    return np.pad(layer.weights(old, new) if old else np.zeros((0, 0)), ((0, most_new - new), (0, most - old)))


@sized.register(LinearMap)
def _(layer: LinearMap, sizes: Sizes) -> Sized:
    """A matrix has a meaning for one number of pixels: along the axes that it mixes, inputs must fill their array."""
    new = layer.setup(jax.random.key(0), (*sizes.pixels, 1))[1][:-1]
    keeps = [isinstance(layer.matrix, tuple) and layer.matrix[axis] is None for axis in range(len(sizes.pixels))]
    for own in (sizes.first, sizes.second):
        _check_filled(layer, values_of(own), keeps, sizes.pixels)
    kept, old, made = np.array([keeps]), np.array([sizes.pixels], np.int32), np.array([new], np.int32)

    def after(own: Array) -> Array:
        fills = jnp.all(kept | (own == old), axis=1, keepdims=True)
        return jnp.where(fills, jnp.where(kept, own, made) if any(keeps) else made, 0).astype(own.dtype)

    return layer, Sizes(after(sizes.first), after(sizes.second), new)


def _check_filled(layer: LinearMap, own: np.ndarray | None, keeps: list[bool], pixels: tuple[int, ...]) -> None:
    if own is None:
        return
    short = np.flatnonzero(~np.all(keeps | (own == pixels), axis=1))
    if len(short):
        had, wanted = (" × ".join(map(str, each)) for each in (own[short[0]].tolist(), pixels))
        raise ValueError(
            f"{layer!r}: a matrix has a meaning for one number of pixels, {wanted} here; {len(short)} of {len(own)} "
            f"inputs have another, the first in row {short[0]} with {had}; bring them to one size before, by Resize, "
            "or give None for the axes along which sizes differ"
        )


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
        before = _gather(sizes, tables)
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
    if isinstance(part, ConvTranspose):
        return "circular" in part.padding  # the word, or one of them
    if isinstance(part, Conv):
        return not part._window.is_aligned
    return isinstance(part, Resize) or (isinstance(part, Index) and not part.is_aligned)
