"""Different parameterizations: how large a learning rate may be."""

from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from .. import nn
from ..dynamics import GradientDescent, Trajectory
from ..kernels import Kernel
from .agreement import SIGMAS, mean_error
from .claim import Claim, Outcome
from .materials import (
    descend,
    drawn_ntks,
    few_numbers,
    few_points,
    fully_connected,
    jacobian_ntk,
    keys,
    of_draws,
)
from .power_law import Bound, PowerLaw, Sizes, geometric_mean, mean
from .setting import Setting

_STEPS = 10  # of a network: it has moved, and its distance from the closed form is far from that of single precision
_NAMES = {"ntk": "NTK", "standard": "standard", "mean_field": "mean field, 1/N", "mup": "muP"}
_EXPONENTS = {"ntk": 0.0, "standard": -1.0, "mean_field": 1.0, "mup": 0.0}


def learning_rate_range(setting: Setting) -> Outcome:
    """2/λ_max of the loss's Gauss-Newton matrix at initialisation, which leads its Hessian, against the width."""
    data = few_points(setting, setting.pick(8, 16, 24), 1)
    # In standard parameterization the first layer adds the number of inputs to Θ, of which the others' part is ∝ N.
    x = jnp.asarray(few_numbers(data.x), jnp.float32)
    widths = setting.pick((512, 1024, 2048, 4096), (512, 1024, 2048, 4096), (1024, 2048, 4096, 8192))
    seeds = setting.pick(4, 16, 32)
    rates = {label: np.zeros((len(widths), seeds)) for label in _NAMES.values()}
    for row, width in enumerate(widths):
        setting.tell(row / len(widths))
        for name, label in _NAMES.items():
            net = nn.reparameterize(fully_connected(width, 1, nn.Tanh()), name, x)
            values = np.linalg.eigvalsh(drawn_ntks(net, x, keys(setting, f"{name} {width}", seeds)))
            rates[label][row] = 2 * len(x) / values[:, -1]
    laws = [PowerLaw(_NAMES[name], p, statistic=mean) for name, p in _EXPONENTS.items()]
    return Sizes(widths, rates, "largest stable learning rate 2/λ_max").outcome(
        laws, "The largest stable learning rate at initialisation by parameterization, with the expected slopes."
    )


def _run(net: nn.Layer, x: Array, y: Array, params: Any) -> dict[str, Array]:
    """Some steps towards f_0 + y at half the critical rate of the network itself: kernels, outputs."""
    before = jacobian_ntk(net, params, x)
    lr = len(x) / jnp.linalg.eigvalsh(before)[-1]
    end = descend(net.apply, params, x, y + net.apply(params, x)[:, 0], lr, _STEPS)
    f0, f1 = (net.apply(p, x)[:, 0] for p in (params, end))
    return {"before": before, "after": jacobian_ntk(net, end, x), "f0": f0, "f1": f1, "lr": lr}


def standard(setting: Setting) -> Outcome:
    """Networks in standard parameterization at rates ∝ 1/N: what holds as in NTK parameterization, and what differs."""
    data = few_points(setting, setting.pick(8, 12, 16), 1)
    inputs = few_numbers(data.x)  # the share of the first layer is the number of inputs over the width
    x, y = jnp.asarray(inputs, jnp.float32), jnp.asarray(data.y, jnp.float32)
    widths = setting.pick((64, 128, 256, 512), (64, 128, 256, 512, 1024), (128, 512, 2048, 8192))
    seeds, found, along = setting.pick(48, 32, 32), {}, []
    nets = [nn.reparameterize(fully_connected(width, 2, nn.Tanh()), "standard", x) for width in widths]
    limits = [np.asarray(Kernel(net).ntk(inputs), np.float64) for net in nets]
    ntk = np.asarray(Kernel(fully_connected(8, 2, nn.Tanh())).ntk(inputs), np.float64)
    apart = _unit(ntk) - _unit(limits[-1])
    for row, (net, limit) in enumerate(zip(nets, limits, strict=True)):
        setting.tell(row / len(widths))
        seen = of_draws(net, x, keys(setting, f"width {widths[row]}", seeds), partial(_run, net, x, y))
        for column in range(seeds):
            one = {name: value[column] for name, value in seen.items()}
            for name, value in _compared(one, data.y, limit).items():
                found.setdefault(name, np.zeros((len(widths), seeds)))[row, column] = value
        off = seen["before"] / np.linalg.norm(limit) - _unit(limit)
        along.append(np.sum(off * apart, axis=(1, 2))[:, None] / np.sum(apart**2))
    laws = [
        PowerLaw("change of Θ", -1.0, not_exponent=-0.5, tolerance=0.15, statistic=geometric_mean),
        Bound("f_T − closed form", -0.5, statistic=geometric_mean),
        PowerLaw("distance of Θ from its limit", -0.5, not_exponent=0.0, statistic=geometric_mean),
    ]
    outcome = Sizes(widths, found, "relative size").outcome(
        laws, "Standard parameterization: frozen kernel, closed form and limit as ever; the kernel is another."
    )
    own, place = mean_error(along[-1], along[-3], np.zeros(1)), float(along[-1].mean())
    error = float(along[-1].std(ddof=1) / seeds**0.5)
    text = f"{outcome.measured}; from the standard limit (0) to the NTK parameterization's (1) the mean of Θ is at "
    text += f"{place:.2f} ± {error:.2f}, off the first by {own:.2f} of what chance and width allow"
    passed = bool(outcome.passed and own < 1 and abs(place - 1) > SIGMAS * error)
    return Outcome(passed, text, dict(outcome.numbers) | {"between": (place, error)}, outcome.plots)


def _unit(kernel: np.ndarray) -> np.ndarray:
    return kernel / np.linalg.norm(kernel)


def _compared(run: dict[str, np.ndarray], y: np.ndarray, limit: np.ndarray) -> dict[str, float]:
    norm = np.linalg.norm
    before = (run["before"] + run["before"].T) / 2
    lr = float(run["lr"])
    predicted = Trajectory(before, y + run["f0"], GradientDescent(lr)).train(_STEPS * lr, run["f0"])
    sizes = {
        "change of Θ": norm(run["after"] - run["before"]) / norm(before),
        "f_T − closed form": norm(run["f1"] - predicted) / norm(run["f1"] - run["f0"]),
        "distance of Θ from its limit": norm(before - limit) / norm(limit),
    }
    return {name: float(size) for name, size in sizes.items()}


CLAIMS = (
    Claim(
        "learning-rate-range",
        "parameterizations",
        "Feasible learning rates by parameterization",
        "In NTK parameterization the range of feasible learning rates of gradient descent is O(1), deduced from the "
        "Hessian; in standard parameterization it depends on the width.",
        "η_max = 2/λ_max(Θ/D):  NTK ∝ N⁰,  standard ∝ N⁻¹,  mean field ∝ N,  muP ∝ N⁰",
        "exponents 0, −1, +1, 0, each ± 0.1 beyond its 99 % interval over seeds",
        "lecture, “Different parameterizations”; Yang and Hu 2021 for the exponents",
        learning_rate_range,
        """import jax, jax.numpy as jnp, wideflow as wf
from wideflow import nn
x = jax.random.normal(jax.random.key(0), (8, 5))
y = jnp.sin(x[:, :1])
for width in (64, 256, 1024):
    net = nn.Serial(nn.Dense(width), nn.Tanh(), nn.Dense(1))
    for name in ("ntk", "standard", "mean_field", "mup"):
        scaled = net if name == "ntk" else wf.reparameterize(net, name, x)
        params = scaled.init(jax.random.key(1), x)
        hessian = wf.finite.Curvature(scaled.apply, params, x, y, wf.dynamics.SquareLoss())
        print(width, name, 2 / hessian.sharpness())""",
    ),
    Claim(
        "standard-parameterization",
        "parameterizations",
        "Standard parameterization: the same results, another kernel",
        "Dynamics between NTK and standard parameterization in general is not equivalent, but this will not affect our "
        "infinite-width results.",
        "η ∝ 1/N:   ‖ΔΘ‖/‖Θ‖ → 0,   f_t by its own Θ_0;   Θ/N → Σ over layers without the first, not Θ of NTK scaling",
        "−1 ± 0.15 (−½ excluded), −½ or less (0 excluded), −½ ± 0.1 beyond 99 %; the mean at its limit alone",
        "Sohl-Dickstein et al. 2020; lecture, “Different parameterizations”",
        standard,
        """import jax, numpy as np, wideflow as wf
from wideflow import nn
x = jax.random.normal(jax.random.key(0), (3, 5))
net = nn.Serial(nn.Dense(1024), nn.Tanh(), nn.Dense(1024), nn.Tanh(), nn.Dense(1))
for name in ("ntk", "standard"):
    ntk = wf.Kernel(wf.reparameterize(net, name, x)).ntk(x)
    print(name, ntk / np.linalg.norm(ntk))""",
        "The slide says that the choice does not affect results at infinite width. They hold in either "
        "parameterization (frozen kernel, linearization, closed form), but the kernel in them does not carry over: at "
        "rates ∝ 1/N the first layer and the biases stand still, so that trained functions differ at any width.",
    ),
)
