"""Runs of alike layers made one scan: one trace and one compilation whatever the depth."""

from functools import singledispatch
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from .combine import Residual, Serial
from .cov import Cov
from .demand import Demand
from .layer import Layer
from .parallel import Parallel
from .repeat import Repeat, structure
from .width import width

_SHORTEST = 3  # repetitions from which a scan is worth its own compilation


@singledispatch
def fold(net: Layer) -> Layer:
    """A network with the same infinite-width rule, in which alike layers in a row are one scan.

    A pass: combinators are searched, every other layer stays as it is. The result has no finite form.
    """
    return net


@fold.register(Serial)
def _(net: Serial) -> Layer:
    return Serial(*_with_runs(tuple(map(fold, net.layers))))


@fold.register(Residual)
def _(net: Residual) -> Layer:
    return eqx.tree_at(lambda n: n.branch, net, fold(net.branch))


@fold.register(Parallel)
def _(net: Parallel) -> Layer:
    return eqx.tree_at(lambda n: n.branches, net, tuple(map(fold, net.branches)))


@fold.register(Repeat)
def _(net: Repeat) -> Layer:
    return eqx.tree_at(lambda n: n.layer, net, fold(net.layer))


class Run(Layer):
    """Blocks of one structure in a row; unlike in `Repeat`, each may have hyperparameters of its own.

    `own`: for each block, what differs between the blocks; `common`: the rest; None in place of what the other has. (A
    scan over hyperparameters that do not change would keep XLA from vectorising what depends on them.)
    """

    common: Serial
    own: tuple[Serial, ...]

    def __init__(self, *blocks: Serial):
        values = list(zip(*map(jax.tree.leaves, blocks), strict=True))
        shared = [all(_same(value, given[0]) for value in given) for given in values]
        where = jax.tree.unflatten(jax.tree.structure(blocks[0]), shared)
        self.common = eqx.filter(blocks[0], where)
        self.own = tuple(eqx.filter(block, where, inverse=True) for block in blocks)

    @property
    def blocks(self) -> tuple[Serial, ...]:
        """The blocks in full."""
        return tuple(eqx.combine(own, self.common) for own in self.own)

    def cov(self, k: Cov) -> Cov:
        """The blocks' rules in order."""
        return _scanned(self, k)

    def demand(self, need: Demand) -> Demand:
        """The blocks' needs in reverse order."""
        return Serial(*self.blocks).demand(need)


def _same(one: Any, two: Any) -> bool:
    return one is two or (isinstance(one, int | float) and isinstance(two, int | float) and one == two)


@width.register(Run)
def _(layer: Run, before: int | None = None) -> int | None:
    return width(layer.blocks[0], before)


def _with_runs(layers: tuple[Layer, ...]) -> list[Layer]:
    """The layers, with every run of at least three alike blocks as one `Run`."""
    keys, result, at = [_key(layer) for layer in layers], [], 0
    while at < len(layers):
        period, times = _longest_run(keys[at:])
        if times < _SHORTEST:
            result.append(layers[at])
            at += 1
            continue
        starts = range(at, at + period * times, period)
        result.append(Run(*(Serial(*layers[start : start + period]) for start in starts)))
        at += period * times
    return result


def _longest_run(keys: list[Any]) -> tuple[int, int]:
    """The period and the number of repetitions that cover most of the start of `keys`."""
    best = (1, 1)
    for period in range(1, len(keys) // _SHORTEST + 1):
        times = 1
        while keys[times * period : (times + 1) * period] == keys[:period]:
            times += 1
        if period * times > best[0] * best[1]:
            best = (period, times)
    return best


def _key(layer: Layer) -> Any:
    """What alike layers share: everything but the values of their hyperparameters."""
    leaves, tree = jax.tree.flatten(layer)
    return tree, tuple(jnp.shape(leaf) for leaf in leaves)


@jax.jit
def _scanned(run: Run, k: Cov) -> Cov:
    """Blocks are unrolled until the state keeps its structure, as a scan needs; see `Repeat`."""
    for done, own in enumerate(run.own):
        block = eqx.combine(own, run.common)
        if structure(jax.eval_shape(block.cov, k)) == structure(k):
            rest = jax.tree.map(lambda *values: jnp.stack(values), *run.own[done:])
            step = lambda k, own: (eqx.combine(own, run.common).cov(k), None)  # noqa: E731
            return jax.lax.scan(step, k, rest, length=len(run.own) - done)[0]
        k = block.cov(k)
    return k
