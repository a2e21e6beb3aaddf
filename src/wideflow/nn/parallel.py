"""Combinators of branches that share one input: their sum, their product, their concatenation."""

from collections.abc import Sequence
from functools import partial, reduce
from operator import add, mul
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import PRNGKeyArray

from .combine import check_layers, check_pixels
from .cov import Cov
from .demand import Demand
from .layer import Layer, Shape
from .width import one_width, width


class Parallel(Layer):
    """Branches that see the same input; a subclass says how their outputs are merged. Parameters: a tuple.

    A merge of your own gives `merge(outputs)`, the infinite rule `cov(k)`, and `merged_shape(shapes)` where the
    branches' shapes may differ.
    """

    branches: tuple[Layer, ...]

    def __init__(self, *branches: Layer):
        name = type(self).__name__
        if not branches:
            raise ValueError(f"{name}(): give at least one branch, got none")
        check_layers(f"{name}: branch", branches)
        self.branches = branches

    def merge(self, outputs: Sequence[Array]) -> Array:
        """The branches' outputs made one."""
        raise NotImplementedError(f"{type(self).__name__} has no rule `merge(outputs)`")

    def merged_shape(self, shapes: Sequence[Shape]) -> Shape:
        """The shape of the merged output; ValueError where the branches' shapes do not fit."""
        if len(set(shapes)) > 1:
            raise ValueError(
                f"{type(self).__name__}: the branches must end in one shape, got {', '.join(map(str, shapes))}; "
                "give their last layers the same number of channels and the same strides"
            )
        return shapes[0]

    def setup(self, key: PRNGKeyArray, shape: Shape) -> tuple[tuple[Any, ...], Shape]:
        """The branches' parameters, each drawn with its own key."""
        keys = jax.random.split(key, len(self.branches))
        drawn = [branch.setup(k, shape) for k, branch in zip(keys, self.branches, strict=True)]
        return tuple(params for params, _ in drawn), self.merged_shape([new for _, new in drawn])

    def apply(self, params: tuple[Any, ...], x: Array) -> Array:
        """The merged outputs of the branches."""
        return self.merge([branch.apply(p, x) for branch, p in zip(self.branches, params, strict=True)])

    def demand(self, need: Demand) -> Demand:
        """What the branches need together."""
        return max(branch.demand(need) for branch in self.branches)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.branches))})"


class Sum(Parallel):
    """The sum of branches: f_1(x) + f_2(x) + … `Sum(Identity(), branch)` is `Residual(branch)`.

    K' = Σ_i K_i, Θ' = Σ_i Θ_i. All branches but one must end in a layer with fresh zero-mean weights (Dense, Conv …),
    which makes them uncorrelated with one another. Raises ValueError otherwise.

    ```python
    nn.Sum(nn.Dense(64), nn.Serial(nn.Dense(64), nn.Erf(), nn.Dense(64)))
    ```
    """

    def merge(self, outputs: Sequence[Array]) -> Array:
        """Σ_i outputs[i]."""
        return reduce(add, outputs)

    def cov(self, k: Cov) -> Cov:
        """Σ_i K_i, Σ_i Θ_i."""
        covs = _branches(self, k)
        _check_all_but_one(self, [cov.fresh for cov in covs], "or they are correlated")
        return reduce(_sum, _as_fresh_as(k, self, covs))


class Product(Parallel):
    """The elementwise product of branches: f_1(x) f_2(x) … `Product(Identity(), Dense(n))` is a gate.

    K' = K_1 K_2, Θ' = Θ_1 K_2 + K_1 Θ_2, and so on for more branches. All branches but one must end in a layer with
    fresh zero-mean weights (Dense, Conv …): their channels are then independent of the other branches and alike, while
    a product, a concatenation or flattened pixels after it are uncorrelated with the others at most. Raises ValueError
    otherwise. The product is not Gaussian: a layer with weights must follow before a nonlinearity can. (In the NTK,
    what two branches share below them enters through the gradients of their mean squares over channels, which vanish
    like 1/width.)

    ```python
    nn.Product(nn.Dense(64), nn.Serial(nn.Dense(64), nn.Sigmoid()))
    ```
    """

    def merge(self, outputs: Sequence[Array]) -> Array:
        """Π_i outputs[i]."""
        return reduce(mul, outputs)

    def cov(self, k: Cov) -> Cov:
        """Π_i K_i, Σ_i Θ_i Π_{j≠i} K_j."""
        covs = _branches(self, k)
        why = "and nothing but linear maps of pixels after it, or the mean of the product is not that of the factors"
        _check_all_but_one(self, [cov.fresh and cov.gaussian for cov in covs], why)
        return reduce(_product, _as_fresh_as(k, self, covs))


class Concat(Parallel):
    """The branches' channels side by side.

    K' = Σ_i n_i K_i/n, Θ' = Σ_i n_i Θ_i/n, with n_i the number of channels of branch i and n their sum: the mean over
    all channels. The channels do not follow one law any more, so a layer with weights must follow before a
    nonlinearity can.

    `channels`: the numbers n_i; None takes them from the branches, each of which must then set its own (end in Dense,
    Conv …, or a nonlinearity after one). ValueError where they are not known or not what the finite network has.

    ```python
    nn.Concat(nn.Dense(96), nn.Serial(nn.Dense(32), nn.Relu()))
    nn.Serial(nn.Dense(64), nn.Concat(nn.Identity(), nn.Serial(nn.Relu(), nn.Dense(16)), channels=(64, 16)))
    ```
    """

    channels: tuple[int, ...] | None = eqx.field(static=True)

    def __init__(self, *branches: Layer, channels: Sequence[int] | None = None):
        super().__init__(*branches)
        self.channels = None if channels is None else tuple(channels)
        if channels is not None and (len(channels) != len(branches) or min(channels) < 1):
            raise ValueError(
                f"Concat: channels must be {len(branches)} positive numbers, one for each branch, got {channels}"
            )

    def merge(self, outputs: Sequence[Array]) -> Array:
        """The outputs side by side, `[n, *pixels, Σ channels]`."""
        return jnp.concatenate(outputs, axis=-1)

    def merged_shape(self, shapes: Sequence[Shape]) -> Shape:
        """The pixels of all and the sum of their channels."""
        pixels, found = {shape[:-1] for shape in shapes}, tuple(shape[-1] for shape in shapes)
        if len(pixels) > 1:
            raise ValueError(f"Concat: the branches must end in the same pixels, got {', '.join(map(str, shapes))}")
        if self.channels not in (None, found):
            raise ValueError(f"Concat: the branches have {found} channels, not channels={self.channels} as given")
        return (*shapes[0][:-1], sum(found))

    def cov(self, k: Cov) -> Cov:
        """Means over the channels of all branches."""
        covs = [branch.cov(k) for branch in self.branches]
        check_pixels("Concat: the branches must end in the same pixels", covs)
        return covs[0] if len(covs) == 1 else _mean(covs, self.widths())

    def widths(self) -> tuple[int, ...]:
        """The channels of each branch; ValueError where nothing tells them."""
        if self.channels is not None:
            return self.channels
        widths = tuple(width(branch) for branch in self.branches)
        known = tuple(n for n in widths if n is not None)
        if len(known) == len(widths):
            return known
        branch = self.branches[widths.index(None)]
        raise ValueError(
            f"Concat: kernels are averaged by the branches' numbers of channels, and the network does not say how many "
            f"leave {branch!r}; give them all, Concat(…, channels=(…)), or end this branch in a layer with weights"
        )

    def __repr__(self) -> str:
        shown = [*map(repr, self.branches), *([] if self.channels is None else [f"channels={self.channels}"])]
        return f"Concat({', '.join(shown)})"


@width.register(Parallel)
def _(layer: Parallel, before: int | None = None) -> int | None:
    """Branches of a merge that is not known: that of any branch which says it."""
    return next((n for n in (width(branch, before) for branch in layer.branches) if n is not None), None)


@width.register(Sum)
@width.register(Product)
def _(layer: Sum | Product, before: int | None = None) -> int | None:
    return one_width(layer, (width(branch, before) for branch in layer.branches))


@width.register(Concat)
def _(layer: Concat, before: int | None = None) -> int | None:
    widths = layer.channels or tuple(width(branch, before) for branch in layer.branches)
    return None if None in widths else sum(n for n in widths if n is not None)


def _branches(layer: Parallel, k: Cov) -> list[Cov]:
    """The branches' covariances, each fresh where its own weights make it so; ValueError where pixels do not fit."""
    stale = k.replace(fresh=False, delta=k.delta)  # each branch sees what the others see
    covs = [branch.cov(stale) for branch in layer.branches]
    check_pixels(f"{type(layer).__name__}: the branches must end in the same pixels", covs)
    return covs


def _check_all_but_one(layer: Parallel, weighted: Sequence[bool], why: str) -> None:
    """ValueError where more than one branch is not `weighted`."""
    others = [branch for branch, is_weighted in zip(layer.branches, weighted, strict=True) if not is_weighted]
    if len(others) > 1:
        one, two, *_ = others
        raise ValueError(
            f"{type(layer).__name__}: all branches but one must end in a layer with weights (Dense, Conv …), {why}; "
            f"got {one!r} and {two!r}; put Dense(…) at the end of one of them"
        )


def _as_fresh_as(k: Cov, layer: Parallel, covs: list[Cov]) -> list[Cov]:
    """Towards the rest of the network a branch without weights of its own is as fresh as the input `k`."""
    if not k.fresh:
        return covs
    return [cov if cov.fresh else branch.cov(k) for branch, cov in zip(layer.branches, covs, strict=True)]


_sum = jax.jit(Cov.__add__)


@jax.jit
def _product(one: Cov, two: Cov) -> Cov:
    """Covariances of the product of two independent branches; one freshly weighted factor makes it uncorrelated."""
    need = min(one.demand, two.demand)
    one, two = one.narrow(need), two.narrow(need)
    delta = None
    if one.delta is not None and two.delta is not None:
        delta = one.delta + two.delta - one.delta * two.delta
    return one.replace(
        q1=one.q1 * two.q1,
        q2=one.q2 * two.q2,
        nngp=one.nngp * two.nngp,
        ntk=one.ntk * two.nngp + one.nngp * two.ntk,
        delta=delta,
        gaussian=False,
        fresh=one.fresh or two.fresh,
    )


@partial(jax.jit, static_argnums=1)
def _mean(covs: list[Cov], channels: tuple[int, ...]) -> Cov:
    """Means over the channels of all branches; they follow one law no more."""
    shares = (jnp.asarray(n / sum(channels), covs[0].nngp.dtype) for n in channels)
    total = reduce(add, (k.affine(share, None) for k, share in zip(covs, shares, strict=True)))
    return total.replace(gaussian=False, delta=total.delta)
