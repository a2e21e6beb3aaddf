"""Mean-field theory: another scaling with the width, in which neurons move."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..beyond import ParticleNetwork, QuadraticUnits
from ..beyond.lazy_scaling import runge_kutta_step
from .claim import Claim, Outcome
from .materials import points
from .plot import Curve, Panel, Plot
from .power_law import PowerLaw, Sizes, geometric_mean
from .setting import Setting

_TIMES = np.array([0.0, 0.05, 0.1, 0.2])
_STD = 0.7


def _descended(start: Array, teacher: Array, C: Array) -> Array:
    """xᵀAx along training of the particles of f = 1/N Σ (w_i·x)² by the population's flow, written with autodiff."""

    def risk(w: Array) -> Array:
        error = (w.T @ w / len(w) - teacher) @ C
        return jnp.trace(error @ error) + jnp.trace(error) ** 2 / 2

    def step(w: Array, _: None) -> tuple[Array, Array]:
        w = runge_kutta_step(lambda v: -len(v) * jax.grad(risk)(v), w, _TIMES[-1] / 20)
        return w, w.T @ w / len(w)

    seen = jax.lax.scan(step, start, length=20)[1]
    return jnp.concatenate([(start.T @ start / len(start))[None], seen])[jnp.asarray([0, 5, 10, 20])]


def limit(setting: Setting) -> Outcome:
    """Networks of quadratic units on inputs with the covariance of the data, against the equation of the limit."""
    d, seeds = 4, setting.pick(1000, 2000, 10_000)
    x = points(setting, 64, 1).x
    C = np.diag(np.linalg.svd(x, compute_uv=False)[:d] ** 2)
    C = C * d / np.trace(C)
    teacher = np.diag(np.linspace(1.5, 0.0, d))
    units = QuadraticUnits(teacher, C)
    path = units.path(_STD**2 * np.eye(d), _TIMES)
    probe = np.eye(d)[:1] + np.eye(d)[1:2]
    expected = units.fluctuations(probe, _STD, _TIMES)[:, 0]
    widths, found = setting.pick((50, 100, 200, 400), (50, 100, 200, 400, 800), (100, 400, 1600, 6400)), {}
    with jax.enable_x64(True):
        run = jax.jit(
            lambda some: jax.lax.map(partial(_descended, teacher=jnp.asarray(teacher), C=jnp.asarray(C)), some)
        )
        for row, n in enumerate(widths):
            setting.tell(row / len(widths))
            w = _STD * setting.random(f"width {n}").standard_normal((seeds, n, d))
            found[n] = np.asarray(run(jnp.asarray(w)))  # [S, T, d, d]
    distance = np.stack([np.linalg.norm(found[n][:, -1] - path[-1], axis=(1, 2)) for n in widths])
    f = {n: np.einsum("i,stij,j->st", probe[0], found[n], probe[0]) for n in widths}
    last = widths[-1]
    squares = last * (f[last] - f[last].mean(axis=0)) ** 2
    measured, error = squares.mean(axis=0), squares.std(axis=0) / seeds**0.5
    own = np.abs(measured - widths[0] * f[widths[0]].var(axis=0)) * widths[0] / last
    off = np.abs(measured - expected) / (4 * error + 2 * own)
    return _limit_outcome(distance, widths, off, (measured, error, expected))


def _limit_outcome(distance: np.ndarray, widths: Any, off: np.ndarray, numbers: tuple[np.ndarray, ...]) -> Outcome:
    measured, error, expected = numbers
    law = PowerLaw("‖A_N − A_∞‖", -0.5, not_exponent=-1.0)
    outcome = Sizes(widths, {law.label: distance}, "distance from the limit").outcome(
        [law], "Distance of networks from the mean-field limit at the last time."
    )
    values = ", ".join(f"{m:.3g} ± {e:.2g} ({x:.3g})" for m, e, x in zip(measured, error, expected, strict=True))
    text = f"{outcome.measured}; N Var f at times {', '.join(f'{t:g}' for t in _TIMES)}, expected in brackets: {values}"
    curves = [
        Curve(f"networks, N = {widths[-1]}", _TIMES, measured, measured - 2 * error, measured + 2 * error),
        Curve("linear noise around the limit", _TIMES, expected, kind="theory"),
    ]
    plot = Plot(
        "fluctuations", "N times the variance of an output along training.", text, (Panel(curves, "time", "N Var f"),)
    )
    passed = bool(outcome.passed and off.max() < 1)
    return Outcome(
        passed, text, dict(outcome.numbers) | {"N Var": measured, "expected": expected}, (*outcome.plots, plot)
    )


def _unit(theta: Array, x: Array) -> Array:
    return theta[0] * jnp.tanh(theta[1:] @ x)


def _moved(network: ParticleNetwork, x: Array, y: Array, step: float, theta: Array) -> dict[str, Array]:
    """How far particles, kernel and outputs moved after 100 steps of descent."""
    end = jax.lax.fori_loop(0, 100, lambda _, now: now + step * network.velocity(now, x, y), theta)
    slopes = [jax.jacrev(lambda p: network.apply(p, x))(p).reshape(len(x), -1) for p in (theta, end)]
    before, after = (J @ J.T for J in slopes)
    return {
        "drift": jnp.sqrt(jnp.mean(jnp.sum((end - theta) ** 2, axis=1))),
        "kernel": jnp.linalg.norm(after - before) / jnp.linalg.norm(before),
        "f": jnp.sqrt(jnp.mean((network.apply(end, x) - network.apply(theta, x)) ** 2)),
    }


def drift(setting: Setting) -> Outcome:
    """The same units and data with f = 1/√N Σ and f = 1/N Σ: how far neurons, kernel and function move."""
    data = points(setting, setting.pick(16, 32, 128), 1)
    x = jnp.asarray(data.x / data.x.shape[1] ** 0.5, jnp.float32)
    y = jnp.asarray(data.y, jnp.float32)
    widths = setting.pick((128, 256, 512, 1024), (128, 256, 512, 1024, 2048), (128, 512, 2048, 8192))
    seeds, samples = setting.pick(32, 32, 64), {}
    for row, width in enumerate(widths):
        setting.tell(row / len(widths))
        theta = setting.random(f"width {width}").standard_normal((seeds, width, x.shape[1] + 1))
        for name, exponent in (("1/√N", 0.5), ("1/N", 1.0)):
            run = partial(_moved, ParticleNetwork(_unit, exponent), x, y, 0.2)
            seen = jax.jit(lambda some, f=run: jax.lax.map(f, some))(jnp.asarray(theta, jnp.float32))
            for what, values in seen.items():
                samples.setdefault(f"{what}, {name}", []).append(np.asarray(values, np.float64))
    laws = [
        PowerLaw("drift, 1/√N", -0.5, not_exponent=0.0, statistic=geometric_mean),
        PowerLaw("drift, 1/N", 0.0, not_exponent=-0.5, statistic=geometric_mean),
        PowerLaw("kernel, 1/√N", -1.0, not_exponent=-0.5, tolerance=0.15, statistic=geometric_mean),
        PowerLaw("kernel, 1/N", 0.0, not_exponent=-0.5, statistic=geometric_mean),
        PowerLaw("f, 1/√N", 0.0, not_exponent=-0.5, tolerance=0.15, statistic=geometric_mean),
        PowerLaw("f, 1/N", 0.0, not_exponent=-0.5, statistic=geometric_mean),
    ]
    sizes = Sizes(widths, {name: np.stack(values) for name, values in samples.items()}, "size of the change")
    return sizes.outcome(laws, "What 100 steps change in both scalings: neurons, kernel (relative), outputs.")


CLAIMS = (
    Claim(
        "mean-field-limit",
        "mean-field",
        "The mean-field limit and its fluctuations",
        "The parameterization f = 1/N Σ φ leads to non-trivial behavior in the infinite-width limit: the distribution "
        "of neurons follows an equation of its own.",
        "f = 1/N Σ (w_i·x)²:   Ȧ = −2(GA + AG), G = 2CEC + tr(EC)C, E = A − A*;   ‖A_N − A_∞‖ ~ N^−½",
        "exponent −½ ± 0.1 beyond the 99 % interval; N Var f within 4 standard errors and the 1/N part at four times",
        "Mei et al. 2018; Rotskoff and Vanden-Eijnden 2018; the closed equation is derived in the documentation",
        limit,
        """import numpy as np
from wideflow.beyond import QuadraticUnits
units = QuadraticUnits(np.diag([1.5, 0.0]))
print(units.path(0.5 * np.eye(2), [0.1, 1.0]), units.fluctuations(np.ones((1, 2)), 0.5**0.5, [0.1]))
for n in (100, 10_000):
    w = np.random.default_rng(0).normal(scale=0.5**0.5, size=(n, 2))
    print(n, units.path(units.matrix(w), [0.1, 1.0]))""",
    ),
    Claim(
        "mean-field-drift",
        "mean-field",
        "In the mean field neurons move",
        "“Mean-field theory” is different from the limit of the neural tangent kernel: the parameterization with "
        "width, 1/N in place of 1/√N, is.",
        "|θ_i(T) − θ_i(0)| ~ N^(γ − 1) for f = N^−γ Σ σ(x; θ_i):   N^−½ for γ = ½,   O(1) for γ = 1;   f moves by O(1)",
        "exponents −½ and 0 (drift), −1 and 0 (kernel), 0 (outputs), ± 0.1 to 0.15 beyond the 99 % interval",
        "lecture, “Other settings under study”; Mei et al. 2018; Chizat and Bach 2018",
        drift,
        """import jax.numpy as jnp, numpy as np
from wideflow.beyond import ParticleNetwork, ParticleTraining
x = np.random.default_rng(0).standard_normal((8, 3))
unit = lambda theta, x: theta[0] * jnp.tanh(theta[1:] @ x)
for width in (100, 1000):
    theta = np.random.default_rng(1).standard_normal((width, 4))
    for exponent in (0.5, 1.0):
        training = ParticleTraining(ParticleNetwork(unit, exponent), 0.1, [0, 100])
        print(width, exponent, training.descend(theta, x, np.sin(x[:, 0])).drift[-1])""",
    ),
)
