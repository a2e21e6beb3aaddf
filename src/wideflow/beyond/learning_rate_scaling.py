"""The largest feasible learning rate of finite networks against their width."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float, Int

from ..dynamics import max_learning_rate
from ..finite import EmpiricalKernel, draw_networks
from ..nn import Layer, learning_rates
from .full_batch import checked_targets, square_loss, train_all
from .slope import Slope, fit_slope

_WIDEST_BRACKET = 64.0  # rates are sought between critical/64 and 64 × critical
_HALVINGS = 14  # of that bracket, in the logarithm: rates to 0.05 %


@dataclass(frozen=True)
class LearningRateScaling:
    """Learning rates of S networks of each width, in the library's units: factors n^−c of the layers come on top.

    `critical [n, S]`: 2/λ_max(Θ̂/D) with the network's own NTK, above which it leaves the kernel regime.
    `convergent [n, S]`: the rate above which training no longer lowers the loss, found by training; None if not asked.
    """

    widths: Int[np.ndarray, " n"]
    critical: Float[np.ndarray, "n S"]
    convergent: Float[np.ndarray, "n S"] | None = None

    @property
    def critical_slope(self) -> Slope:
        """The exponent of `critical` in the width; theory: `WidthLimit.rate_exponent`."""
        return fit_slope(self.widths, self.critical, geometric_mean)

    @property
    def convergent_slope(self) -> Slope:
        """The exponent of `convergent` in the width, the same in theory."""
        if self.convergent is None:
            raise ValueError("LearningRateScaling: rates by training were not asked for; pass y and steps")
        return fit_slope(self.widths, self.convergent, geometric_mean)


def learning_rate_scaling(
    family: Callable[[int], Layer], widths: Sequence[int], x: Any, y: Any = None, steps: int = 0, networks: int = 8
) -> LearningRateScaling:
    """Critical learning rates of networks of growing width, and with `y` and `steps` those that training finds.

    `family(width)`: the network, in any parameterization; rates are multiplied by `nn.learning_rates`. `x [D, …]`,
    `y [D]` or `[D, out]`. `steps`: of gradient descent on the square loss at each of the rates that are tried; a rate
    converges where the loss after them is finite and below that at the start. Between 2/λ_max and there, networks
    catapult: the loss rises first. The bracket is halved in the logarithm, from 1/64 to 64 times critical; of several
    boundaries it finds one. With the default of steps nothing is trained.

    Cost: an NTK for each network, and 16 trainings of `steps` steps.
    Errors: ValueError for targets of another shape than outputs, and a bracket that holds no boundary.
    """
    x = jnp.asarray(x)
    critical, convergent = [], []
    for width in widths:
        net = family(width)
        params = draw_networks(net, x[:1], jax.random.key(width), jnp.arange(networks))
        critical.append([critical_rate(net, _one(params, s), x) for s in range(networks)])
        if steps:
            targets = checked_targets("learning_rate_scaling", net, x, y)
            convergent.append(_largest_convergent(net, params, x, targets, np.array(critical[-1]), steps))
    return LearningRateScaling(np.array(widths), np.array(critical), np.array(convergent) if steps else None)


def critical_rate(net: Layer, params: Any, x: Any) -> float:
    """2/λ_max(Θ̂/D) of one network, all outputs together, with the factors of the learning rate of its layers."""
    kernel = EmpiricalKernel(net.apply, params, outputs="full", rates=learning_rates(net, params))
    ntk = np.asarray(kernel.ntk(x), np.float64)
    points, outputs = len(ntk), int(np.prod(ntk.shape[2:]) ** 0.5)
    ntk = np.moveaxis(ntk.reshape(points, points, outputs, outputs), 1, 2).reshape(points * outputs, -1)
    return max_learning_rate((ntk + ntk.T) / 2) / outputs  # 1/D counts inputs, not outputs


def geometric_mean(samples: Float[np.ndarray, "n S"]) -> Float[np.ndarray, " n"]:
    """exp of the mean logarithm over seeds: rates that scatter by factors."""
    return np.exp(np.mean(np.log(samples), axis=-1))


def _one(params: Any, s: int) -> Any:
    return jax.tree.map(lambda leaf: leaf[s], params)


def _largest_convergent(net: Layer, params: Any, x: Array, y: Array, critical: np.ndarray, steps: int) -> np.ndarray:
    low, high = critical / _WIDEST_BRACKET, critical * _WIDEST_BRACKET
    good, bad = (_converges(net, params, x, y, rate, steps) for rate in (low, high))
    if not good.all() or bad.any():
        raise ValueError(
            f"learning_rate_scaling: training must lower the loss at critical/{_WIDEST_BRACKET:g} and must not at "
            f"{_WIDEST_BRACKET:g} × critical; of {len(low)} networks it does for {good.sum()} and {bad.sum()}. "
            "Take more steps, and targets that the network does not fit already"
        )
    for _ in range(_HALVINGS):
        middle = np.sqrt(low * high)
        good = _converges(net, params, x, y, middle, steps)
        low, high = np.where(good, middle, low), np.where(good, high, middle)
    return np.sqrt(low * high)


def _converges(net: Layer, params: Any, x: Array, y: Array, lr: np.ndarray, steps: int) -> Bool[np.ndarray, " S"]:
    end = train_all(net, params, x, y, jnp.asarray(lr, x.dtype), jnp.asarray(steps))
    before, after = (np.asarray(_losses(net, p, x, y)) for p in (params, end))
    return np.isfinite(after) & (after < before)


@eqx.filter_jit
def _losses(net: Layer, params: Any, x: Array, y: Array) -> Array:
    return jax.vmap(lambda p: square_loss(net, p, x, y))(params)
