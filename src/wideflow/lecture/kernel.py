"""The neural tangent kernel: deterministic at initialisation, given by a recursion, frozen in training."""

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
from .materials import Points, descend, drawn_ntks, fully_connected, jacobian_ntk, keys, of_draws, points
from .plot import Curve, Panel, Plot
from .power_law import PowerLaw, Sizes, deviation, geometric_mean
from .setting import Setting

_W, _B = 1.3, 0.3
_ACTIVATIONS = {"relu": nn.Relu(), "erf": nn.Erf(), "gelu": nn.Gelu(), "tanh": nn.Tanh()}


def deterministic(setting: Setting) -> Outcome:
    """One entry of the NTK at initialisation: its spread over draws, and its mean's distance from the limit."""
    x = jnp.asarray(points(setting, 4, 1).x[:2], jnp.float32)
    widths = setting.pick((32, 64, 128, 256), (64, 128, 256, 512), (64, 256, 1024, 4096))
    seeds = setting.pick(64, 256, 1024)
    limit = float(np.asarray(Kernel(fully_connected(8, 2, nn.Tanh(), _W, _B)).ntk(np.asarray(x)))[0, 1])
    entries = []
    for row, width in enumerate(widths):
        setting.tell(row / len(widths))
        net = fully_connected(width, 2, nn.Tanh(), _W, _B)
        entries.append(drawn_ntks(net, x, keys(setting, f"width {width}", seeds))[:, 0, 1] - limit)
    sizes = Sizes(widths, {"spread of Θ over draws": np.stack(entries)}, "Θ_0(x, x') − its limit")
    law = PowerLaw("spread of Θ over draws", -0.5, not_exponent=-1.0, statistic=deviation)
    outcome = sizes.outcome([law], "Spread over draws of one entry of the NTK, against width.")
    return _and_limit(outcome, np.stack(entries), widths)


def _and_limit(outcome: Outcome, errors: np.ndarray, widths: Any) -> Outcome:
    """Demand of the widest networks that their mean is the limit, up to chance and a correction of order 1/width."""
    mean, chance = errors.mean(axis=1), errors.std(axis=1, ddof=1) / np.sqrt(errors.shape[1])
    allowed = SIGMAS * chance[-1] + (abs(mean[0]) + SIGMAS * chance[0]) * widths[0] / widths[-1]
    numbers = dict(outcome.numbers) | {"mean − limit": mean, "standard error": chance}
    text = f"{outcome.measured}; mean − limit {mean[-1]:.2g} ± {chance[-1]:.2g} at width {widths[-1]}"
    return Outcome(bool(outcome.passed and abs(mean[-1]) <= allowed), text, numbers, outcome.plots)


def recursion(setting: Setting) -> Outcome:
    """Kernels of four activations against the mean over finite networks, and the recursion as it is printed."""
    x = jnp.asarray(points(setting, 4, 1).x[:3], jnp.float32)
    width, seeds = setting.pick(256, 512, 2048), setting.pick(48, 128, 512)
    upper = np.triu_indices(len(x))
    errors, shown, wrong = {}, [], {}
    for order, (name, activation) in enumerate(_ACTIVATIONS.items()):
        setting.tell(order / len(_ACTIVATIONS))
        net, narrow = (fully_connected(n, 2, activation, _W, _B) for n in (width, width // 4))
        draws = drawn_ntks(net, x, keys(setting, name, seeds))[:, *upper]
        few = drawn_ntks(narrow, x, keys(setting, f"narrow {name}", seeds))[:, *upper]
        exact = np.asarray(Kernel(net).ntk(np.asarray(x)))[upper]
        errors[name] = mean_error(draws, few, exact)
        wrong[name] = mean_error(draws, few, _as_printed(net, np.asarray(x))[upper])
        shown.append(Curve(name, exact, draws.mean(axis=0)))
    line = np.linspace(0, max(curve.x.max() for curve in shown), 2)
    panel = Panel([*shown, Curve("equal", line, line, kind="guide")], "recursion", f"mean over {seeds} networks")
    passed = max(errors.values()) < 1 < min(wrong.values())
    text = ", ".join(f"{name} {error:.2f}" for name, error in errors.items())
    measured = f"largest error over what chance and width allow: {text}; of the recursion as printed "
    measured += ", ".join(f"{name} {error:.1f}" for name, error in wrong.items())
    plot = Plot("entries", "Entries of the NTK: mean of networks against the recursion.", measured, (panel,))
    return Outcome(passed, measured, {"recursion": errors, "as printed": wrong}, (plot,))


def _as_printed(net: nn.Serial, x: np.ndarray) -> np.ndarray:
    """Θ^ℓ = Θ^(ℓ−1) τ^ℓ + K^ℓ with τ^ℓ from K^ℓ and without σ_w², as the slide has it."""
    nngp = []
    for last in range(1, len(net.layers) + 1, 2):
        nngp.append(np.asarray(Kernel(nn.Serial(*net.layers[:last])).nngp(x), np.float64))
    ntk = nngp[0]
    activation = net.layers[1]
    assert isinstance(activation, nn.Activation)
    for k in nngp[1:]:
        variance = jnp.asarray(np.diagonal(k), jnp.float32)
        slopes = activation.dual(variance[:, None], jnp.asarray(k, jnp.float32), variance[None, :])[1]
        ntk = ntk * np.asarray(slopes, np.float64) + k
    return ntk


def _trained(net: nn.Serial, params: Any, x: Array, y: Array, x_test: Array, lr: float) -> dict[str, Array]:
    end = descend(net.apply, params, x, y, lr, 200)
    before, after = jacobian_ntk(net, params, x), jacobian_ntk(net, end, x)
    both = jnp.concatenate([x, x_test])
    cross = jacobian_ntk(net, params, both)[len(x) :, : len(x)]
    f0, f1 = net.apply(params, both)[:, 0], net.apply(end, both)[:, 0]
    return {"before": before, "after": after, "cross": cross, "f0": f0, "f1": f1}


def _training(setting: Setting, of_one: Any) -> Sizes:
    """Networks of several widths trained for 200 steps at half the critical rate; `of_one(run, data, lr)` of each."""
    data = points(setting, setting.pick(16, 32, 128), 16)
    x, y, x_test = (jnp.asarray(a, jnp.float32) for a in (data.x, data.y, data.x_test))
    widths = setting.pick((64, 128, 256, 512), (64, 128, 256, 512, 1024), (128, 512, 2048, 8192))
    seeds = 32
    limit = np.linalg.eigvalsh(np.asarray(Kernel(fully_connected(8, 2, nn.Tanh(), _W, _B)).ntk(data.x)))[-1]
    lr = float(len(data.x) / limit)
    found: dict[str, list[list[float]]] = {}
    for row, width in enumerate(widths):
        setting.tell(row / len(widths))
        net = fully_connected(width, 2, nn.Tanh(), _W, _B)
        train = partial(_trained, net, x=x, y=y, x_test=x_test, lr=lr)
        trained = of_draws(net, x, keys(setting, f"{width}", seeds), train)
        runs = [{name: value[i] for name, value in trained.items()} for i in range(seeds)]
        for run in runs:
            for name, value in of_one(run, data, lr).items():
                found.setdefault(name, [[] for _ in widths])[row].append(value)
    return Sizes(widths, {name: np.asarray(values) for name, values in found.items()}, "relative size")


def _kernel_change(run: dict[str, np.ndarray], _: Points, __: float) -> dict[str, float]:
    change = np.linalg.norm(run["after"] - run["before"]) / np.linalg.norm(run["before"])
    return {"change of Θ": float(change), "change of f": float(_rms(run["f1"] - run["f0"]))}


def _closed_equation(run: dict[str, np.ndarray], data: Points, lr: float) -> dict[str, float]:
    """Outputs after 200 steps against those that the kernel at initialisation predicts."""
    D = len(data.x)
    trajectory = Trajectory(_symmetric(run["before"]), data.y, GradientDescent(lr))
    train = trajectory.train(200 * lr, run["f0"][:D])
    test = trajectory.test(200 * lr, run["cross"], run["f0"][:D], run["f0"][D:])
    error = _rms(run["f1"] - np.concatenate([train, test]))
    return {"f_T − prediction": float(error / _rms(run["f1"] - run["f0"]))}


def _symmetric(matrix: np.ndarray) -> np.ndarray:
    return (matrix + matrix.T) / 2


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))


def frozen(setting: Setting) -> Outcome:
    """The NTK's relative change by the end of training, and the function's change."""
    laws = [
        PowerLaw("change of Θ", -1.0, not_exponent=-0.5, tolerance=0.15, statistic=geometric_mean),
        PowerLaw("change of f", 0.0, not_exponent=-0.5, statistic=geometric_mean),
    ]
    return _training(setting, _kernel_change).outcome(laws, "What 200 steps at half the critical rate change.")


def closed_equation(setting: Setting) -> Outcome:
    """The outputs of trained networks against the closed equation with the kernel of their initialisation."""
    law = PowerLaw("f_T − prediction", -1.0, not_exponent=-0.5, tolerance=0.15, statistic=geometric_mean)
    return _training(setting, _closed_equation).outcome(
        [law], "Error of the closed equation on training and test points, relative to the change of the outputs."
    )


_LINES = """import jax, numpy as np, wideflow as wf
from wideflow import nn
x = jax.random.normal(jax.random.key(0), (4, 5))
def net(width): return nn.Serial(nn.Dense(width, 1.3, 0.3), nn.Tanh(), nn.Dense(1, 1.3, 0.3))
"""
CLAIMS = (
    Claim(
        "kernel-deterministic",
        "kernel",
        "The kernel at initialisation is deterministic",
        "The kernel depends on the draw of the parameters, but in the limit of infinite width it is itself a "
        "deterministic quantity.",
        "Θ_0(x, x') → Θ(x, x'),   spread over draws ~ N^−½",
        "exponent −½ ± 0.1 beyond the 99 % interval; the mean within 4 standard errors and O(1/N) of the limit",
        "Jacot et al. 2018; lecture, “Main result”",
        deterministic,
        _LINES
        + """print(wf.Kernel(net(8)).ntk(x)[0, 1])  # the limit does not depend on the width
for width in (64, 256, 1024):
    draws = [net(width).init(key, x) for key in jax.random.split(jax.random.key(0), 20)]
    entries = [wf.EmpiricalKernel(net(width).apply, p).ntk(x)[0, 1] for p in draws]
    print(width, np.mean(entries), np.std(entries))""",
    ),
    Claim(
        "kernel-recursion",
        "kernel",
        "The recursion for the kernel",
        "The NTK obeys a general recursion over layers; the Gaussian integrals in it are two-dimensional, and for some "
        "nonlinearities they can be computed analytically.",
        "Θ^ℓ = K^ℓ + σ_w² Θ^(ℓ−1) τ^ℓ,   τ^ℓ = E[φ'(z) φ'(z')] over z ~ N(0, K^(ℓ−1))",
        "means over networks within 4 standard errors and the 1/width part; the printed recursion outside of them",
        "Jacot et al. 2018; Lee et al. 2019",
        recursion,
        _LINES
        + """print(wf.Kernel(net(8)).ntk(x))
draws = [net(1024).init(key, x) for key in jax.random.split(jax.random.key(0), 50)]
print(np.mean([wf.EmpiricalKernel(net(1024).apply, p).ntk(x) for p in draws], axis=0))""",
        "The slide takes the average in τ^ℓ over K^ℓ and leaves out σ_w². It is an average over K^(ℓ−1), times σ_w²: "
        "the measurement agrees with this and not with what is printed.",
    ),
    Claim(
        "kernel-frozen",
        "kernel",
        "The kernel is frozen",
        "The NTK is frozen at its initial value under time evolution, while the function changes by O(1).",
        "‖Θ_T − Θ_0‖/‖Θ_0‖ → 0",
        "exponent −1 ± 0.15 beyond the 99 % interval, −½ excluded; 0 ± 0.1 for the function",
        "Lee et al. 2019; lecture, “Main result”",
        frozen,
        _LINES
        + """y = np.sin(x[:, :1])
for width in (64, 256, 1024):
    params = net(width).init(jax.random.key(1), x)
    found = wf.diagnose(net(width).apply, params, (x, y), wf.GradientDescent(0.5))
    print(width, found.ntk_change)""",
    ),
    Claim(
        "closed-equation",
        "kernel",
        "One can solve a closed equation",
        "In the limit of infinite width we can essentially just solve a closed equation, with the kernel at its value "
        "at initialisation.",
        "df(x)/dt = −(1/D) Σ_α Θ_0(x, x_α) (f(x_α) − y_α)",
        "error ∝ 1/N: exponent −1 ± 0.15 beyond the 99 % interval, −½ excluded",
        "Jacot et al. 2018; Lee et al. 2019 in discrete time",
        closed_equation,
        _LINES
        + """y = np.sin(x[:, 0])
params = net(1024).init(jax.random.key(1), x)
ntk = wf.EmpiricalKernel(net(1024).apply, params).ntk(x)
print(wf.Trajectory(ntk, y, wf.GradientDescent(0.5)).train([0, 5, 50], net(1024).apply(params, x)[:, 0]))""",
    ),
)
