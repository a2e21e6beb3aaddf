"""Kernels of wide networks from draws of finite ones."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..nn import Layer, learning_rates
from ..nn.fingerprint import fingerprint, fingerprint_of_function
from .empirical_kernel import EmpiricalKernel, check_inputs
from .function_check import check_function, noting
from .kernel_estimate import KernelEstimate
from .output_sets import Outputs
from .running_moments import RunningMoments

Which = Literal["nngp", "ntk"]
BOTH: tuple[Which, ...] = ("nngp", "ntk")
CHUNK = 16  # networks at most that are drawn together; accuracy is looked at after multiples of it
_CACHED_BYTES = 4 * 2**20  # networks are vectorised together as long as their parameters stay near the cache
_GROWTH = 4  # a look comes after a quarter more networks than at the one before


@dataclass(frozen=True)
class MonteCarloKernel:
    """The NNGP kernel and NTK of any pair (init, apply), as means over draws, called like `Kernel`.

    `init(key, x) -> params`, `apply(params, x [n, …]) -> y [n, *out]`. Network s is drawn from the key
    `fold_in(key(seed), s)`, so that values depend on nothing but how many there are, beyond rounding; two calls see the
    same networks.
      nngp(x1, x2) = mean over draws and outputs of f_o(x1) f_o(x2), with nothing subtracted: the prior has mean zero.
      ntk(x1, x2) = mean over draws and outputs of Σ_μ r_μ ∂f_o(x1)/∂θ_μ ∂f_o(x2)/∂θ_μ.
    Standard errors come from the scatter between draws. The mean over finite networks differs from the kernel of the
    infinitely wide one by O(1/width), which no number of draws removes and the standard errors do not show; compare two
    widths to see it.

    `draws`: networks drawn, or at most drawn where `accuracy` is given. `accuracy`: stop once the standard error of
    the whole array, √Σ error² / √Σ kernel² over its entries, is at most this for every kernel asked for; looked at
    after 16 networks and then after each quarter more. Kernels that vanish never reach it. `rates(params)`: the
    factors r, a tree like the parameters, for networks with learning rates of their own; None: 1. `outputs`: as in
    `EmpiricalKernel`.
    `memory`: bytes that work arrays may take.

    Errors: ValueError for fewer than two draws, an accuracy that is not positive, complex outputs, networks that are
    not finite (with their number), and the errors of `EmpiricalKernel`. Cost: `draws` empirical kernels.
    Source: Novak et al. 2019, section 4; Chan et al. 1979.

    ```python
    kernel = wf.finite.MonteCarloKernel(net.init, net.apply, accuracy=0.01)
    k = kernel(x)  # k.nngp, k.nngp_error, k.ntk, k.ntk_error: [n, n]
    ```
    """

    init: Callable[[Any, Any], Any]
    apply: Callable[[Any, Any], Any]
    draws: int = 1000
    accuracy: float | None = None
    seed: int = 0
    rates: Callable[[Any], Any] | None = None
    outputs: Outputs = "trace"
    memory: int = 2**30

    def __post_init__(self):
        check_function(self.apply, "MonteCarloKernel", "apply(params, x)")
        check_function(self.init, "MonteCarloKernel", "init(key, x)")
        if not isinstance(self.draws, int | np.integer) or not isinstance(self.seed, int | np.integer):
            raise TypeError(f"MonteCarloKernel: draws and seed must be integers, got {self.draws!r} and {self.seed!r}")
        if self.draws < 2:
            raise ValueError(f"MonteCarloKernel: a standard error takes at least two networks, got draws={self.draws}")
        if self.accuracy is not None and not 0 < self.accuracy < np.inf:
            raise ValueError(f"MonteCarloKernel: accuracy must be positive, as 0.01 for 1 %, got {self.accuracy}")

    @classmethod
    def of(cls, net: Layer, draws: int = 1000, accuracy: float | None = None, seed: int = 0) -> "MonteCarloKernel":
        """That of a network made of layers, with the learning rates that they give; `replace` sets further fields."""
        if not isinstance(net, Layer):
            raise TypeError(f"MonteCarloKernel.of: wanted a network of layers, got {type(net).__qualname__}")
        return cls(net.init, net.apply, draws, accuracy, seed, _LayerRates(net))

    def __call__(self, x1: Any, x2: Any = None) -> KernelEstimate:
        """Both kernels between two batches."""
        return self.estimate(x1, x2)

    def nngp(self, x1: Any, x2: Any = None) -> np.ndarray:
        """The NNGP kernel alone, from outputs, without derivatives."""
        return self.estimate(x1, x2, ("nngp",)).moments["nngp"].mean

    def ntk(self, x1: Any, x2: Any = None) -> np.ndarray:
        """The NTK alone."""
        return self.estimate(x1, x2, ("ntk",)).moments["ntk"].mean

    def estimate(
        self,
        x1: Any,
        x2: Any = None,
        get: Sequence[Which] = BOTH,
        start: KernelEstimate | None = None,
        advance: Callable[[int], None] | None = None,
    ) -> KernelEstimate:
        """The kernels in `get` with their standard errors.

        `start`: an estimate of this kernel on the same inputs, with fewer draws or less accuracy, or interrupted; the
        result is as if it had been drawn in one go. `advance(k)` is called whenever k more networks are done, out of
        `draws`. Ctrl-C ends the drawing and returns what is finished; before anything is, it is raised.
        Raises ValueError for a `start` with another seed, other kernels or other inputs.
        """
        check_inputs(x1, x2)
        if start is not None and not isinstance(start, KernelEstimate):
            raise TypeError(f"start: wanted an estimate of this kernel, got {start!r}")
        of = self._fingerprint(x1, x2, get)
        if start is not None and start.of != of:
            raise ValueError(
                "start: wanted an estimate of the same networks, with the same seed, rates, outputs and kernels, on "
                "the same inputs"
            )
        moments: dict[str, RunningMoments] = dict(start.moments) if start else {}
        interrupted = False
        try:
            self._draw(moments, x1, x2, tuple(get), advance or (lambda _: None))
        except KeyboardInterrupt:
            if not moments:
                raise
            interrupted = True
        return KernelEstimate(moments, self.accuracy, interrupted, of)

    def _draw(
        self, moments: dict[str, RunningMoments], x1: Any, x2: Any, get: Sequence[Which], advance: Callable
    ) -> None:
        """Add chunks of networks to the moments until there are enough."""
        with _precision(x1):
            x1, x2 = jax.tree.map(jnp.asarray, (x1, x2))
            draw = _Draw(self.init, self.apply, self.rates, self.outputs, self.memory)
            chunk = draw.together(jax.random.key(self.seed), x1, x2)
            done = next(iter(moments.values())).count if moments else 0
            while not self._enough(moments, done):
                taken = min(chunk, self._next_look(done) - done)
                numbers = jnp.asarray(np.arange(done, done + chunk, dtype=np.uint32))  # full: it compiles once
                drawn = _kernels(draw, jax.random.key(self.seed), numbers, x1, x2, tuple(get))
                new = {name: RunningMoments.of(_checked(drawn[name], done)[:taken]) for name in get}
                moments |= {name: moments[name].with_more(new[name]) if name in moments else new[name] for name in get}
                done += taken
                advance(taken)

    def _next_look(self, done: int) -> int:
        """The number of networks at which the accuracy is looked at next: it must not depend on the chunks."""
        look = CHUNK
        while look <= done:
            look += max(CHUNK, look // _GROWTH // CHUNK * CHUNK)
        return min(look, self.draws)

    def _enough(self, moments: dict[str, RunningMoments], done: int) -> bool:
        if done >= self.draws:
            return True
        if self.accuracy is None or done == 0 or self._next_look(done - 1) != done:
            return False
        return all(some.relative_error <= self.accuracy for some in moments.values())

    def _fingerprint(self, x1: Any, x2: Any, get: Sequence[Which]) -> str:
        if not get or not set(get) <= set(BOTH):
            raise ValueError(f"get: wanted some of {', '.join(BOTH)}, got {get!r}")
        with _precision(x1):
            inputs = jax.tree.map(jnp.asarray, x1)
            networks = fingerprint_of_function(self._network, jax.random.key(self.seed), inputs)
        return fingerprint([networks, self.seed, self.outputs, sorted(get), x1, "and", x2])

    def _network(self, key: Array, x: Any) -> Any:
        """All that counts of the network drawn from a key: parameters, rates and outputs."""
        params = self.init(key, jax.tree.map(lambda a: a[:1], x))
        moving = eqx.filter(params, eqx.is_array)
        with noting("MonteCarloKernel", params, x):
            outputs = self.apply(params, x)
        return moving, None if self.rates is None else self.rates(params), outputs

    def identity(self, x1: Any, x2: Any = None) -> str:
        """A digest of what is computed on these inputs: networks, options, and how many are drawn; see `gram`."""
        return fingerprint([self._fingerprint(x1, x2, BOTH), self.draws, self.accuracy])

    def __repr__(self) -> str:
        stop = "" if self.accuracy is None else f", accuracy={self.accuracy:g}"
        return f"MonteCarloKernel({self.init!r}, {self.apply!r}, draws={self.draws}{stop}, seed={self.seed})"


def _precision(x: Any) -> AbstractContextManager:
    """64-bit types where inputs have them."""
    wide = any(np.asarray(leaf).dtype == np.float64 for leaf in jax.tree.leaves(x))
    return jax.enable_x64(True) if wide else nullcontext()


class _LayerRates(eqx.Module):
    net: Layer

    def __call__(self, params: Any) -> Any:
        return learning_rates(self.net, params)


class _Draw(eqx.Module):
    """How one network is drawn and what its kernels are."""

    init: Callable[[Any, Any], Any]
    apply: Callable[[Any, Any], Any]
    rates: Callable[[Any], Any] | None
    outputs: Outputs = eqx.field(static=True)
    memory: int = eqx.field(static=True)

    def kernel(self, key: Array, x: Any) -> EmpiricalKernel:
        """The empirical kernel of the network drawn from a key; only the shape of x counts."""
        params = self.init(key, jax.tree.map(lambda a: a[:1], x))
        rates = None if self.rates is None else self.rates(params)
        return EmpiricalKernel(self.apply, params, "auto", self.outputs, rates, None, self.memory)

    def together(self, key: Array, x1: Any, x2: Any) -> int:
        """How many networks fit into the memory, and their parameters near the cache: a power of two up to CHUNK."""
        kernel = self.kernel(jax.random.fold_in(key, 0), x1)
        bytes_of = sum(leaf.nbytes for leaf in jax.tree.leaves(kernel.params) if eqx.is_array(leaf))
        fit = min(self.memory // max(1, int(kernel.plan(x1, x2).bytes)), max(1, _CACHED_BYTES // max(1, bytes_of)))
        return 1 << min(CHUNK, max(1, fit)).bit_length() - 1


@eqx.filter_jit
def _kernels(draw: _Draw, key: Array, numbers: Array, x1: Any, x2: Any, get: tuple[Which, ...]) -> dict[Which, Array]:
    """The kernels of the networks with these numbers, stacked along a first axis."""

    def of_one(number: Array) -> dict[Which, Array]:
        kernel = draw.kernel(jax.random.fold_in(key, number), x1)
        return {name: kernel.ntk(x1, x2) if name == "ntk" else kernel.nngp(x1, x2) for name in get}

    return jax.vmap(of_one)(numbers)


def _checked(drawn: Array, first: int) -> np.ndarray:
    values = np.asarray(drawn)
    if np.iscomplexobj(values):
        raise ValueError("MonteCarloKernel: wanted networks with real outputs, got complex ones")
    bad = ~np.isfinite(values).reshape(len(values), -1).all(axis=1)
    if bad.any():
        raise ValueError(f"MonteCarloKernel: the kernels of network {first + int(np.argmax(bad))} are not finite")
    return values
