"""A simple example: how every part of a network with one hidden layer scales with its width."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .. import nn
from .claim import Claim, Outcome
from .materials import descend, fully_connected, jacobian_ntk, keys, of_draws, points
from .power_law import PowerLaw, Sizes, absolute_mean, geometric_mean
from .setting import Setting

_ACTIVATION = nn.Tanh()


def _measured(setting: Setting, quantities: Any, least: int) -> Sizes:
    """`quantities(net, params, x, y)` for many seeds at every width: names to numbers."""
    data = points(setting, 4, 1)
    x, y = jnp.asarray(data.x, jnp.float32), jnp.asarray(data.y, jnp.float32)
    widths = setting.pick((64, 128, 256, 512), (64, 128, 256, 512, 1024), (64, 256, 1024, 4096))
    seeds = setting.pick(least, 8 * least, 16 * least)
    found: dict[str, list[np.ndarray]] = {}
    for row, width in enumerate(widths):
        setting.tell(row / len(widths))
        net = fully_connected(width, 1, _ACTIVATION)
        drawn = of_draws(net, x, keys(setting, f"width {width}", seeds), partial(quantities, net, x=x, y=y))
        for name, values in drawn.items():
            found.setdefault(name, []).append(values)
    return Sizes(widths, {name: np.stack(values) for name, values in found.items()}, "size over seeds")


def _direction(net: nn.Layer, params: Any, x: Array, y: Array) -> Any:
    """dθ/dt of gradient flow."""
    loss = lambda p: 0.5 * jnp.mean((net.apply(p, x)[:, 0] - y) ** 2)  # noqa: E731
    return jax.tree.map(jnp.negative, jax.grad(loss)(params))


def _rms(values: Array) -> Array:
    return jnp.sqrt(jnp.mean(values**2))


def _velocities(net: nn.Serial, params: Any, x: Array, y: Array) -> dict[str, Array]:
    direction = _direction(net, params, x, y)
    inner, outer = (leaf for leaf in jax.tree.leaves(direction) if leaf.ndim == 2)
    first = lambda p: net.layers[0].apply(p[0], x)  # noqa: E731
    moved = jax.jvp(first, (params,), (direction,))[1]
    return {"dW⁰/dt": _rms(inner), "dW¹/dt": _rms(outer), "dz/dt": _rms(moved)}


def velocities(setting: Setting) -> Outcome:
    """Root mean squares over parameters and units of their velocities at initialisation."""
    sizes = _measured(setting, _velocities, 128)
    names = ("dW⁰/dt", "dW¹/dt", "dz/dt")
    laws = [PowerLaw(name, -0.5, not_exponent=-1.0, statistic=geometric_mean) for name in names]
    return sizes.outcome(laws, "Velocities at initialisation of single weights and of hidden preactivations.")


def _kernel_velocities(net: nn.Serial, params: Any, x: Array, y: Array) -> dict[str, Array]:
    along = lambda y: jax.jvp(lambda p: jacobian_ntk(net, p, x)[0], (params,), (_direction(net, params, x, y),))  # noqa: E731
    (ntk, velocity), (_, of_outputs) = along(y), along(jnp.zeros_like(y))
    sizes = {"Θ": ntk[0], "dΘ/dt": velocity[1], "Σ|terms|": _absolute_terms(net, params, x, y)}
    return sizes | {"|mean dΘ/dt|": of_outputs[1]}  # what targets add changes its sign with the readout's: mean zero


def _absolute_terms(net: nn.Serial, params: Any, x: Array, y: Array) -> Array:
    """Σ_i |the part of dΘ(x₀, x₁)/dt that hidden unit i contributes|: what counting sizes alone would give."""
    first, second = (leaf for leaf in jax.tree.leaves(params) if leaf.ndim == 2)
    moves = [leaf for leaf in jax.tree.leaves(_direction(net, params, x, y)) if leaf.ndim == 2]
    width, d = first.shape[1], x.shape[1]

    def of_units(W: Array, a: Array) -> Array:
        z = x[:2] @ W / jnp.sqrt(jnp.asarray(d, x.dtype))
        phi, slope = jnp.tanh(z), 1 - jnp.tanh(z) ** 2
        return (phi[0] * phi[1] + a[:, 0] ** 2 * slope[0] * slope[1] * (x[0] @ x[1]) / d) / width

    return jnp.sum(jnp.abs(jax.jvp(of_units, (first, second), (moves[0], moves[1]))[1]))


def kernel_velocity(setting: Setting) -> Outcome:
    """The kernel's velocity at initialisation, and the sum of its terms' sizes."""
    sizes = _measured(setting, _kernel_velocities, 128)
    laws = [
        PowerLaw("Θ", 0.0, not_exponent=-0.5),
        PowerLaw("dΘ/dt", -1.0, not_exponent=-0.5),
        PowerLaw("Σ|terms|", -0.5, not_exponent=-1.0),
    ]
    if setting.scale != "quick":  # the mean takes more seeds than its size
        laws.append(PowerLaw("|mean dΘ/dt|", -1.0, not_exponent=-0.5, statistic=absolute_mean))
    return sizes.outcome(laws, "The kernel and its velocity at initialisation; the sizes of its terms add up to more.")


def _changes(net: nn.Serial, params: Any, x: Array, y: Array) -> dict[str, Array]:
    end = descend(net.apply, params, x, y, 0.5, 100)
    change = jnp.concatenate(
        [(a - b).ravel() for a, b in zip(jax.tree.leaves(end), jax.tree.leaves(params), strict=True) if a.ndim == 2]
    )
    moved = net.apply(end, x) - net.apply(params, x)
    hidden = net.layers[0].apply(end[0], x) - net.layers[0].apply(params[0], x)
    return {"θ_T − θ_0, each": _rms(change), "z_T − z_0, each": _rms(hidden), "f_T − f_0": _rms(moved)}


def collective_change(setting: Setting) -> Outcome:
    """What training changes: single parameters, hidden preactivations and the function."""
    sizes = _measured(setting, _changes, 24)
    laws = [
        PowerLaw("θ_T − θ_0, each", -0.5, not_exponent=0.0, statistic=geometric_mean),
        PowerLaw("z_T − z_0, each", -0.5, not_exponent=0.0, statistic=geometric_mean),
        PowerLaw("f_T − f_0", 0.0, not_exponent=-0.5, statistic=geometric_mean),
    ]
    return sizes.outcome(laws, "Changes after 100 steps: each parameter by less and less, the function by as much.")


_LINES = """import jax, jax.numpy as jnp, wideflow as wf
from wideflow import nn
x = jax.random.normal(jax.random.key(0), (4, 5))
y = jnp.sin(x[:, 0])
for width in (64, 256, 1024):
    net = nn.Serial(nn.Dense(width), nn.Tanh(), nn.Dense(1))
    params = net.init(jax.random.key(1), x)
"""
CLAIMS = (
    Claim(
        "velocities",
        "simple-example",
        "Every parameter and preactivation moves slowly",
        "The change per parameter vanishes in the limit of infinite width; the same is true for the hidden "
        "preactivations, per node.",
        "dW¹_i/dt ~ O(N^−½),   dW⁰_ij/dt ~ O(N^−½),   dz_i/dt ~ O(N^−½) at initialisation",
        "exponents −½ ± 0.1 beyond the 99 % interval over seeds, −1 excluded",
        "lecture, “Simple example”",
        velocities,
        _LINES
        + """    flow = wf.finite.NetworkFlow(lambda p, x: net.apply(p, x)[:, 0], x, lambda f: (f - y) / len(y))
    print(width, [float(jnp.std(u)) for u in jax.tree.leaves(flow.direction(params))])""",
    ),
    Claim(
        "kernel-velocity",
        "simple-example",
        "The kernel is of order one and hardly moves",
        "The kernel is O(1) at initialisation, and its update vanishes in the limit of infinite width.",
        "Θ_0(x, x') ~ O(1),   dΘ_0(x, x')/dt ~ O(1/N)",
        "exponents 0 and −1 ± 0.1 beyond the 99 % interval, −½ excluded for dΘ/dt; −½ for the sum of sizes",
        "Dyer and Gur-Ari 2020, cluster counting; lecture, “Simple example”",
        kernel_velocity,
        _LINES
        + """    flow = wf.finite.NetworkFlow(lambda p, x: net.apply(p, x)[:, 0], x, lambda f: (f - y) / len(y))
    ntk, velocity = flow.ntk_derivatives(params)
    print(width, float(ntk[0, 1]), float(velocity[0, 1]))""",
        "The slide says dΘ/dt ~ O(1/√N). That is the sum of the sizes of its terms, an upper bound: the terms have "
        "random signs, because the readout is as often positive as negative; typical size and mean are both O(1/N).",
    ),
    Claim(
        "collective-change",
        "simple-example",
        "Many small changes change the function",
        "The model's output does not stay at initialisation: infinitely many parameters that change by a vanishingly "
        "small amount have a collective effect, and the function changes by O(1).",
        "θ_T − θ_0, z_T − z_0 ~ O(N^−½) for each parameter and hidden unit,   f_T − f_0 ~ O(1)",
        "exponents −½, −½ and 0, ± 0.1 beyond the 99 % interval over seeds",
        "lecture, “Let's recap”",
        collective_change,
        _LINES
        + """    found = wf.diagnose(net.apply, params, (x, y[:, None]), wf.GradientDescent(0.5), steps=100)
    print(width, found.parameter_change, found.output_change)""",
    ),
)
