"""Networks trained over a range of learning rates, from lazy through the catapult to divergence."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..dynamics import GradientDescent, Loss, Rule, SquareLoss, batch_order
from ..finite import Curvature, empirical_ntk, relative_change, top_eigenvalues
from ..nn import Layer, learning_rates
from .descent import Descent, Model, Network, Tasks, momentum_of, prepared, trainable
from .swept_rates import Moment, SweptRates

Family = Callable[[int], Layer | tuple[Network, Callable[[Any], Any]]]
Test = tuple[Any, Any] | None
_TOLERANCE = 1e-3  # relative, of eigenvalues


@dataclass(frozen=True)
class LearningRateSweep:
    """Training at learning rates η = c/λ_0 for a grid of c, for networks and their Taylor polynomials of any width.

    λ_0 is the largest eigenvalue of the Gauss-Newton matrix of the network at its start, that of Θ/D for square loss:
    the linearized network is stable for c < 2 under gradient descent, for c < 2(1 + β) with heavy ball.

    `c`: positive numbers. `steps`: of training at every rate. `rule`: `GradientDescent`, `HeavyBall` or `Nesterov`,
    whose own rate does not matter. `batch`: the size of minibatches, in one order for all (`batch_order`); None for
    full batches. `orders`: what to train, None the network and k ≥ 1 its Taylor polynomial of order k. `networks`:
    how many a width, drawn from `seed`. `probes`: how many training points the change of the kernel is measured on.

    Divergence is an overflow of the loss, not a large one: losses of a catapult rise in proportion to the width.
    Everything is computed in the dtype of the parameters, without learning-rate factors of layers.
    Source: Lewkowycz et al. 2020; Zhu et al. 2022 (quadratic models).

    ```python
    sweep = LearningRateSweep(c=[1, 2.5, 3.5, 6], steps=100, orders=(None, 2))
    table = sweep.run(lambda n: nn.Serial(nn.Dense(n), nn.Relu(), nn.Dense(1)), [256, 1024], x, y)
    print(table)
    ```
    """

    c: Sequence[float]
    steps: int = 200
    loss: Loss = field(default_factory=SquareLoss)
    rule: Rule = field(default_factory=GradientDescent)
    batch: int | None = None
    orders: tuple[int | None, ...] = (None,)
    networks: int = 1
    seed: int = 0
    probes: int = 32

    def __post_init__(self):
        c = np.asarray(self.c, np.float64)
        if c.ndim != 1 or not c.size or not (np.isfinite(c).all() and (c > 0).all()):
            raise ValueError(f"LearningRateSweep: c = ηλ_0 must be positive and finite numbers, got {self.c}")
        if min(self.steps, self.networks, self.probes) < 1:
            raise ValueError(f"LearningRateSweep: steps, networks and probes must be at least 1, got {self!r}")
        if any(order is not None and order < 1 for order in self.orders) or not self.orders:
            raise ValueError(f"LearningRateSweep: orders must be None (the network) or 1, 2, …, got {self.orders}")
        momentum_of(self.rule)

    def run(self, family: Family, widths: Sequence[int], x: Any, y: Any, test: Test = None) -> SweptRates:
        """Train `family(width)` for every width on `x [D, …]`, targets `y` as the loss wants them.

        `family` gives a network of layers, or `(f, draw)` with any f(params, x) and draw(key) its parameters. `test`:
        inputs and targets for the accuracy, otherwise the training points.

        Errors: ValueError for layers with learning-rate factors other than 1, targets in the wrong form, and outputs of
        another shape than the targets. Cost: `steps` gradients for every width, network, model and rate, and at two
        moments of each an NTK on the probes and some tens of products with the Gauss-Newton matrix.
        """
        results = [_Width(self, *self._drawn(family(n), x), x, y, test).swept() for n in widths]
        lam0, losses, steps, moments = zip(*results, strict=True)
        at_time, at_end = ([width[i] for width in moments] for i in (0, 1))
        models = tuple("network" if order is None else f"Taylor {order}" for order in self.orders)
        return SweptRates(
            np.asarray(self.c, np.float64),
            tuple(int(n) for n in widths),
            models,
            np.stack(lam0),
            np.stack(losses),
            Moment(np.full(len(self.c), self.steps), *np.moveaxis(np.stack(at_end), -1, 0)),
            Moment(steps[0], *np.moveaxis(np.stack(at_time), -1, 0)),
        )

    def _drawn(self, member: Any, x: Any) -> tuple[Network, list[Any]]:
        """A network as a function, and the parameters of each of `networks`."""
        keys = [jax.random.fold_in(jax.random.key(self.seed), i) for i in range(self.networks)]
        if not isinstance(member, Layer):
            f, draw = member
            return f, [draw(key) for key in keys]
        params = [member.init(key, x) for key in keys]
        if any(np.any(np.asarray(rate) != 1) for rate in jax.tree.leaves(learning_rates(member, params[0]))):
            raise ValueError(
                f"LearningRateSweep: {member!r} has factors of the learning rate; a sweep has one rate for all "
                "parameters. Scale the parameters instead: θ = √factor φ"
            )
        return member.apply, params


class _Width:
    """The networks of one width, and what is measured of them."""

    def __init__(self, sweep: LearningRateSweep, f: Network, params: list[Any], x: Any, y: Any, test: Any):
        self.sweep, self.f = sweep, f
        split = [trainable(one) for one in params]
        self.starts, self.rest = [moving for moving, _ in split], split[0][1]
        model = self.model(0, None)
        self.x, self.y = prepared(sweep.loss, model, x, y)
        self.test = (self.x, self.y) if test is None else prepared(sweep.loss, model, *test)
        gauss_newton = [self._top(sweep.loss, start, start, None) for start in self.starts]
        self.lam0 = np.array(gauss_newton)
        square = isinstance(sweep.loss, SquareLoss)
        self.ntk0 = self.lam0 if square else np.array([self._top(None, p, p, None) for p in self.starts])
        self.kernels = [self._kernel(model, start) for start in self.starts]

    def model(self, network: int, order: int | None) -> Model:
        """A network, or its Taylor polynomial; networks hold no start, so that they compile once."""
        return Model(self.f, self.starts[network], self.rest, order)

    def swept(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[np.ndarray]]:
        """λ_0 [S], losses [M, S, C, T], steps at equal time [C], and measurements [M, S, C, 5] at both moments."""
        c = np.asarray(self.sweep.c, np.float64)
        at_time = np.maximum(1, np.round(self.sweep.steps * c.min() / c)).astype(int)
        both = [self._trained(order, c, at_time) for order in self.sweep.orders]
        losses, moments = zip(*both, strict=True)
        return self.lam0, np.stack(losses), at_time, [np.stack(one) for one in zip(*moments, strict=True)]

    def _trained(self, order: int | None, c: np.ndarray, at_time: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
        sweep, S, C = self.sweep, len(self.starts), len(c)
        order_of_batches = None
        if sweep.batch is not None:
            order_of_batches = jnp.asarray(batch_order(len(self.x), sweep.batch, sweep.steps, sweep.seed))
        descent = Descent(self.model(0, order), sweep.loss, self.x, self.y, order_of_batches, *momentum_of(sweep.rule))
        of, rates = np.repeat(np.arange(S), C), (c / self.lam0[:, None]).ravel()
        tasks, seen = Tasks.begin(self.starts, of, rates, sweep.steps), []
        for last in (np.tile(at_time, S), np.full(S * C, sweep.steps)):
            tasks = descent.advance(tasks, last)
            each = [self._measured(tasks.params_of(task), int(of[task]), order) for task in range(S * C)]
            seen.append(np.array(each).reshape(S, C, -1))
        return np.asarray(tasks.losses, np.float64).reshape(S, C, -1), seen

    def _measured(self, params: Any, network: int, order: int | None) -> tuple[float, ...]:
        """Loss, curvature and NTK relative to the start, change of the kernel, accuracy."""
        model, loss = self.model(network, order), self.sweep.loss
        value = float(_loss(loss, model, params, self.x, self.y))
        if not np.isfinite(value):
            return np.inf, np.inf, np.inf, np.inf, np.nan
        curvature = self._top(loss, params, self.starts[network], order) / self.lam0[network]
        ntk = curvature
        if not isinstance(loss, SquareLoss):
            ntk = self._top(None, params, self.starts[network], order) / self.ntk0[network]
        change = relative_change(self._kernel(model, params), self.kernels[network])
        x, y = self.test
        return value, curvature, ntk, change, float(_accuracy(model, params, x, y))

    def _top(self, loss: Loss | None, params: Any, start: Any, order: int | None) -> float:
        """The largest eigenvalue of the Gauss-Newton matrix; of Θ/D without a loss."""
        model = Model(self.f, start, self.rest, order)
        y = self.y
        if loss is None:
            loss, y = SquareLoss(), np.zeros(eqx.filter_eval_shape(model, start, self.x).shape)
        return float(top_eigenvalues(Curvature(model, params, self.x, y, loss).gauss_newton, 1, _TOLERANCE).values[0])

    def _kernel(self, model: Model, params: Any) -> np.ndarray:
        return np.asarray(_ntk(model, params, self.x[: self.sweep.probes]), np.float64)


@eqx.filter_jit
def _loss(loss: Loss, model: Model, params: Any, x: Array, y: Array) -> Array:
    return loss.mean(model(params, x), y)


@eqx.filter_jit
def _ntk(model: Model, params: Any, x: Array) -> Array:
    return empirical_ntk(model, params, x)


@eqx.filter_jit
def _accuracy(model: Model, params: Any, x: Array, y: Array) -> Array:
    """Share of points whose output agrees with the target in its sign, or in where it is largest."""
    f = model(params, x).reshape(len(x), -1)
    y = y.reshape(len(x), -1)
    right = (f[:, 0] > 0) == (y[:, 0] > 0) if f.shape[1] == 1 else f.argmax(axis=1) == y.argmax(axis=1)
    return right.mean()
