"""Ensembles of finite networks, trained by full-batch gradient descent."""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int

from ..dynamics import GradientDescent
from ..nn import Layer, learning_rates
from .empirical import network_ntk


@dataclass(frozen=True)
class Snapshots:
    """What was seen of an ensemble along training.

    `steps [T]`; `outputs [S, T, n, out]` of the S finished networks on the probe inputs; `ntk [R, T, D, D]`, the
    empirical NTK on the training inputs of the first R networks, averaged over outputs. `interrupted`: Ctrl-C ended
    the run before every network was trained; the finished ones are whole.
    """

    steps: Int[np.ndarray, " T"]
    outputs: Float[np.ndarray, "S T n out"]
    ntk: Float[np.ndarray, "R T D D"]
    interrupted: bool = False


@dataclass(frozen=True)
class EnsembleTraining:
    """Many networks drawn from the prior, each trained by full-batch gradient descent in float32.

    The loss is L = 1/(2D) Σ_α ‖f(x_α) − y_α‖². Network number s is drawn from the key `fold_in(key(seed), s)`, so
    its values depend neither on how many networks there are nor on the chunks they are trained in, beyond rounding.

    `net`: a network with `init` and `apply`; factors of the learning rate that its layers give (`nn.learning_rates`)
    are used. `steps`: at which steps outputs are recorded, ascending; 0 is the initialisation. `kernels`: of how many
    networks the empirical NTK is recorded too. `memory`: bytes the parameters and work arrays of a chunk may take.

    Errors: ValueError for steps that are not ascending, fewer than one network, and shapes that do not match.
    """

    net: Layer
    rule: GradientDescent
    steps: Sequence[int]
    networks: int
    seed: int = 0
    kernels: int = 0
    memory: int = 2**30

    def __post_init__(self):
        if not isinstance(self.net, Layer) or type(self.rule) is not GradientDescent:
            raise TypeError(
                f"EnsembleTraining: wanted a network of layers and GradientDescent, got {type(self.net).__qualname__} "
                f"and {self.rule!r}"
            )
        steps = list(self.steps)
        if not steps or steps[0] < 0 or any(b <= a for a, b in pairwise(steps)):
            raise ValueError(f"EnsembleTraining: steps must be ascending and not negative, got {steps}")
        if self.networks < 1:
            raise ValueError(f"EnsembleTraining: wanted at least one network, got networks={self.networks}")

    def run(self, x: Any, y: Any, probes: Any, advance: Callable[[int], None] | None = None) -> Snapshots:
        """Train on `x [D, …]`, `y [D]` or `[D, out]`; record the outputs on `probes [n, …]`.

        `advance(k)` is called whenever k more network-steps are done, out of `networks · steps[-1]`. Ctrl-C ends
        the run and returns the networks that are finished.
        """
        with jax.enable_x64(False):
            x, probes = jnp.asarray(x, jnp.float32), jnp.asarray(probes, jnp.float32)
            y = jnp.asarray(y, jnp.float32).reshape(len(x), -1)
            work = _Work(self.net, float(self.rule.lr), x, y, probes)
            return self._collect(work, advance or (lambda _: None))

    def _collect(self, work: "_Work", advance: Callable[[int], None]) -> Snapshots:
        outputs, ntk, interrupted = [], [], False
        chunk = work.networks_within(self.memory, self.networks)
        try:
            for start in range(0, self.networks, chunk):
                numbers = range(start, start + chunk)  # the last chunk is full too, so that nothing compiles twice
                kernels = int(np.clip(self.kernels - start, 0, chunk))
                chunk_outputs, chunk_ntk = self._train(work, numbers, kernels, advance)
                outputs.append(chunk_outputs)
                ntk.append(chunk_ntk)
        except KeyboardInterrupt:
            interrupted = True
        T, D = len(self.steps), len(work.x)
        none = np.zeros((0, T, len(work.probes), work.y.shape[1])), np.zeros((0, T, D, D))
        outputs = np.concatenate([none[0], *outputs])[: self.networks]
        ntk = np.concatenate([none[1], *ntk])[: self.networks]
        return Snapshots(np.asarray(self.steps), outputs, ntk, interrupted)

    def _train(self, work: "_Work", numbers: range, kernels: int, advance: Callable[[int], None]):
        """One chunk through all snapshots: outputs `[s, T, n, out]` and kernels `[r, T, D, D]` of the first r."""
        asked_for = len([number for number in numbers if number < self.networks])
        params = work.init(self.seed, jnp.asarray(list(numbers), jnp.uint32))
        outputs, ntk, now = [], [], 0
        for step in self.steps:
            params = self._descend(work, params, step - now, asked_for, advance)
            now = step
            outputs.append(np.asarray(work.outputs(params), np.float64))
            ntk.append(work.ntk(params, kernels))
        return np.stack(outputs, axis=1), np.stack(ntk, axis=1)

    @staticmethod
    def _descend(work: "_Work", params: Any, steps: int, networks: int, advance: Callable[[int], None]) -> Any:
        """Steps in pieces of about a second, so that Ctrl-C and progress are prompt."""
        piece = max(1, int(_PIECE_FLOP / (work.flop_per_step * networks)))
        while steps > 0:
            taken = min(piece, steps)
            params = jax.block_until_ready(work.descend(params, taken))
            advance(taken * networks)
            steps -= taken
        return params


_PIECE_FLOP = 5e10
_CACHED_BYTES = 4 * 2**20  # networks are vectorised together as long as their parameters stay near the cache


class _Work:
    """The compiled pieces of one training task."""

    def __init__(self, net: Layer, lr: float, x: Array, y: Array, probes: Array):
        self.net, self.lr, self.x, self.y, self.probes = net, lr, x, y, probes
        shapes = jax.eval_shape(lambda key: net.init(key, x), jax.random.key(0))
        outputs = jax.eval_shape(net.apply, shapes, x)
        if outputs.shape != y.shape:
            raise ValueError(
                f"EnsembleTraining: the network's outputs {outputs.shape} and the targets {y.shape} must have one "
                "shape; change the width of the last layer"
            )
        self.parameters = sum(leaf.size for leaf in jax.tree.leaves(shapes))
        self.flop_per_step = 6 * self.parameters * len(x)
        self.together = max(1, _CACHED_BYTES // (4 * self.parameters))

    def networks_within(self, memory: int, networks: int) -> int:
        """How many networks a chunk holds: their parameters twice, and one group's gradients and activations."""
        held = 8 * self.parameters
        work = self.together * (8 * self.parameters + 16 * len(self.x) * self._channels())
        return int(np.clip((memory - work) // held, 1, min(networks, CHUNK)))

    def _channels(self) -> int:
        return max(self.x.shape[-1], int(self.parameters**0.5)) * 4

    def init(self, seed: int, numbers: Array) -> Any:
        """Parameters of the networks with these numbers, stacked along a first axis."""
        return draw_networks(self.net, self.x[:1], jax.random.key(seed), numbers)

    def descend(self, params: Any, steps: int) -> Any:
        """The parameters after `steps` more steps."""
        return _descend(self.net, params, self.x, self.y, self.lr, steps, self.together)

    def outputs(self, params: Any) -> Array:
        """Outputs on the probes, `[s, n, out]`."""
        return _outputs(self.net, params, self.probes, self.together)

    def ntk(self, params: Any, networks: int) -> np.ndarray:
        """The empirical NTK of the first networks of the chunk, `[r, D, D]`."""
        kernels = np.zeros((networks, len(self.x), len(self.x)))
        for r in range(networks):
            one = jax.tree.map(operator.itemgetter(r), params)
            kernels[r] = _ntk(self.net, one, self.x)
        return kernels


CHUNK = 10  # networks; finished chunks survive Ctrl-C


@jax.jit
def draw_networks(net: Layer, x: Array, key: Array, numbers: Array) -> Any:
    """Parameters of the networks with these numbers, stacked along a first axis; number s from `fold_in(key, s)`."""
    return jax.lax.map(lambda number: net.init(jax.random.fold_in(key, number), x), numbers)


@jax.jit
def _ntk(net: Layer, params: Any, x: Array) -> Array:
    return network_ntk(net, params, x)


@partial(jax.jit, static_argnums=3)
def _outputs(net: Layer, params: Any, probes: Array, together: int) -> Array:
    return jax.lax.map(lambda p: net.apply(p, probes), params, batch_size=together)


@partial(jax.jit, static_argnums=6, donate_argnums=1)
def _descend(net: Layer, params: Any, x: Array, y: Array, lr: float | Array, steps: int | Array, together: int) -> Any:
    def loss(p: Any) -> Array:
        return jnp.sum((net.apply(p, x) - y) ** 2) / (2 * len(x))

    def step(_: Array, p: Any) -> Any:
        rates = learning_rates(net, p)
        return jax.tree.map(lambda leaf, rate, slope: leaf - lr * rate * slope, p, rates, jax.grad(loss)(p))

    return jax.lax.map(lambda p: jax.lax.fori_loop(0, steps, step, p), params, batch_size=together)
