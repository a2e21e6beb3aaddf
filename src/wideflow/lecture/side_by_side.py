"""Networks and their linearizations on the same batches, at several widths."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .. import nn
from ..dynamics import Loss
from ..finite import linearize, taylor
from .claim import Outcome
from .materials import keys, of_draws
from .plot import Curve, Frame, Panel, Plot
from .power_law import PowerLaw, Sizes
from .setting import Setting


@dataclass(frozen=True)
class SideBySide:
    """A network and its Taylor polynomials trained on the same batches by gradient descent with momentum.

    `lr`: a rate, or one for each step. `batches [steps, batch]`: indices of training points. Outputs are recorded at
    the start and after every `every` steps, on `probes [n, …]`. `orders`: of the polynomials, 1 the linearization.
    """

    x: Array
    y: Array
    probes: Array
    loss: Loss
    lr: Any
    batches: np.ndarray
    momentum: float = 0.0
    every: int = 1
    orders: tuple[int, ...] = (1,)

    @property
    def steps(self) -> np.ndarray:
        """After how many steps outputs are recorded, `[T]`."""
        return np.arange(0, len(self.batches) + 1, self.every)

    def outputs(self, net: nn.Layer, many: Array) -> np.ndarray:
        """Outputs of the networks drawn from the keys `many [S]`, then of each order, `[S, 1 + orders, T, n, *out]`."""
        return of_draws(net, self.x, many, partial(self._of_one, net))

    def _of_one(self, net: nn.Layer, params: Any) -> Array:
        polynomials = [linearize(net.apply, params) if k == 1 else taylor(net.apply, params, k) for k in self.orders]
        return jnp.stack([self._path(f, params) for f in (net.apply, *polynomials)])

    def _path(self, f: Callable[[Any, Array], Array], params: Any) -> Array:
        def loss(p: Any, batch: Array) -> Array:
            return self.loss.mean(f(p, self.x[batch]), self.y[batch])

        def step(now: tuple[Any, Any], one: tuple[Array, Array]) -> tuple[tuple[Any, Any], None]:
            (p, velocity), (batch, lr) = now, one
            velocity = jax.tree.map(lambda v, g: self.momentum * v - lr * g, velocity, jax.grad(loss)(p, batch))
            return (jax.tree.map(jnp.add, p, velocity), velocity), None

        def record(now: tuple[Any, Any], some: tuple[Array, Array]) -> tuple[tuple[Any, Any], Array]:
            now, _ = jax.lax.scan(step, now, some)
            return now, f(now[0], self.probes)

        start = params, jax.tree.map(jnp.zeros_like, params)
        rates = jnp.broadcast_to(jnp.asarray(self.lr, self.probes.dtype), len(self.batches)).reshape(-1, self.every)
        pieces = jnp.asarray(self.batches).reshape(-1, self.every, self.batches.shape[-1])
        seen = jax.lax.scan(record, start, (pieces, rates))[1]
        return jnp.concatenate([f(params, self.probes)[None], seen])


def parting(
    setting: Setting, run: SideBySide, net: Callable[[int], nn.Layer], widths: Sequence[int], seeds: int, law: PowerLaw
) -> Outcome:
    """Train at every width; the largest distance of the two along training, relative to the change of the outputs."""
    errors, frames = np.zeros((len(widths), seeds)), []
    for row, width in enumerate(widths):
        setting.tell(row / len(widths))
        seen = run.outputs(net(width), keys(setting, f"width {width}", seeds))  # [S, 2, T, n, classes]
        change = rms(seen[:, 0, -1] - seen[:, 0, 0])
        errors[row] = rms(seen[:, 0] - seen[:, 1]).max(axis=-1) / change
        frames.append(Frame(f"width {width}", (_outputs(run.steps, seen[0]),)))
    outcome = Sizes(widths, {law.label: errors}, "relative to the change of f").outcome(
        [law], "Largest distance of the network from its linearization along training, on held-out points."
    )
    plot = Plot(
        "outputs",
        "Outputs on held-out points: network and linearization.",
        f"Three outputs along training; {outcome.measured}",
        frames=tuple(frames),
        slider="width",
    )
    measured = f"{outcome.measured}; {errors[-1].mean():.1%} of the change at width {widths[-1]}"
    return Outcome(outcome.passed, measured, outcome.numbers, (*outcome.plots, plot))


def rms(values: np.ndarray) -> np.ndarray:
    """Root mean square over the points and outputs, the last two axes."""
    return np.sqrt(np.mean(values**2, axis=(-2, -1)))


def _outputs(steps: np.ndarray, seen: np.ndarray) -> Panel:
    curves = []
    for point in range(3):
        curves += [
            Curve("network" if point == 0 else "", steps, seen[0, :, point, 0]),
            Curve("linearization" if point == 0 else "", steps, seen[1, :, point, 0], kind="theory"),
        ]
    return Panel(curves, "step", "output f(x)")
