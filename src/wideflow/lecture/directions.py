"""Which directions of parameter space training moves along, and the scale that makes any model linear."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .. import nn
from ..beyond import lazy_scaling
from ..dynamics import GradientDescent, Trajectory, max_learning_rate
from ..kernels import Kernel
from .claim import Claim, Outcome
from .materials import Points, descend, few_numbers, few_points, fully_connected, jacobian_ntk, keys, of_draws, points
from .plot import Curve, Panel, Plot
from .power_law import PowerLaw, Sizes, geometric_mean
from .setting import Setting

_STEPS = 100


def _moved(net: nn.Serial, x: Array, y: Array, lr: float, params: Any) -> dict[str, Array]:
    """The kernel and outputs at the start; how far the parameters moved, and J_0 (θ_T − θ_0)."""
    end = descend(net.apply, params, x, y, lr, _STEPS)
    change = jax.tree.map(jnp.subtract, end, params)
    f0, along = jax.jvp(lambda p: net.apply(p, x)[:, 0], (params,), (change,))
    square = sum((jnp.sum(leaf**2) for leaf in jax.tree.leaves(change)), jnp.zeros(()))
    return {"ntk": jacobian_ntk(net, params, x), "f0": f0, "along": along, "square": square}


def _parts(run: dict[str, np.ndarray], data: Points, lr: float) -> tuple[float, float, np.ndarray, np.ndarray]:
    """Shares of the movement: outside of the gradients' span, and off the prediction; along each eigenvector."""
    values, vectors = np.linalg.eigh((run["ntk"] + run["ntk"].T) / 2)
    inside = vectors.T @ run["along"] / np.sqrt(values)  # coordinates along the unit vectors J_0ᵀ v_i/√λ_i
    trajectory = Trajectory((run["ntk"] + run["ntk"].T) / 2, data.y, GradientDescent(lr))
    expected = -np.sqrt(values) * (vectors.T @ trajectory.dual_weights(_STEPS * lr, run["f0"]))
    outside = np.sqrt(max(1 - inside @ inside / run["square"], 1e-12))
    return float(outside), float(np.linalg.norm(inside - expected) / np.linalg.norm(expected)), inside, expected


def directions(setting: Setting) -> Outcome:
    """The movement of the parameters, split by the span of the D gradients at the start, at several widths."""
    data = few_points(setting, setting.pick(8, 16, 24), 1)
    inputs = few_numbers(data.x)
    x, y = jnp.asarray(inputs, jnp.float32), jnp.asarray(data.y, jnp.float32)
    widths = setting.pick((128, 256, 512, 1024), (128, 256, 512, 1024), (256, 1024, 4096, 16384))
    seeds = setting.pick(32, 48, 64)
    ntk = np.asarray(Kernel(fully_connected(8, 1, nn.Tanh())).ntk(inputs))
    lr = 0.5 * max_learning_rate(ntk, GradientDescent(1.0))
    outside, off = np.zeros((len(widths), seeds)), np.zeros((len(widths), seeds))
    seen = None
    for row, width in enumerate(widths):
        setting.tell(row / len(widths))
        net = fully_connected(width, 1, nn.Tanh())
        runs = of_draws(net, x, keys(setting, f"width {width}", seeds), partial(_moved, net, x, y, lr))
        for column in range(seeds):
            one = {name: value[column] for name, value in runs.items()}
            outside[row, column], off[row, column], *seen = _parts(one, data, lr)
    assert seen is not None
    samples = {"outside of the span": outside, "off the closed form": off}
    laws = [
        PowerLaw("outside of the span", -0.5, not_exponent=0.0, statistic=geometric_mean),
        PowerLaw("off the closed form", -1.0, not_exponent=-0.5, tolerance=0.15, statistic=geometric_mean),
    ]
    outcome = Sizes(widths, samples, "share of ‖θ_T − θ_0‖").outcome(
        laws, "What of the movement is not along the gradients at the start, and what is not as predicted."
    )
    order = np.arange(1, len(x) + 1)
    bars = [
        Curve("network", order, np.abs(seen[0][::-1])),
        Curve("closed form", order, np.abs(seen[1][::-1]), kind="theory"),
    ]
    panel = Panel(bars, "eigenvector of Θ_0, largest eigenvalue first", "distance moved", log="y")
    plot = Plot(
        "eigenvectors",
        f"How far one network of width {widths[-1]} moved along each direction.",
        outcome.measured,
        (panel,),
    )
    return Outcome(outcome.passed, outcome.measured, outcome.numbers, (*outcome.plots, plot))


def lazy(setting: Setting) -> Outcome:
    """αh, h = f − f_0, trained at one width over scales α, beside its linearization."""
    data = points(setting, setting.pick(6, 8, 16), 1)
    width = setting.pick(32, 64, 256)
    net = fully_connected(width, 1, nn.Tanh())
    ntk = np.asarray(Kernel(net).ntk(data.x))
    t = 4 * len(data.x) / np.linalg.eigvalsh(ntk)[-1]  # four times that of the fastest mode
    alphas, seeds = (8.0, 16.0, 32.0, 64.0), setting.pick(16, 32, 48)
    found = lazy_scaling(net, data.x, data.y, alphas, "centred", seeds, t, 40, setting.number("networks"))
    samples = {"αh − its linearization": found.outputs, "parameters": found.parameters, "kernel": found.ntk}
    laws = [PowerLaw(name, -1.0, -0.5, statistic=geometric_mean) for name in samples]
    return Sizes(alphas, samples, "relative size", "scale α", "α", paired=True).outcome(
        laws, f"Distance from the linearization, and changes of parameters and kernel, at width {width}."
    )


CLAIMS = (
    Claim(
        "directions",
        "linear",
        "Only certain directions in parameter space are updated",
        "Infinitely wide networks are linearized models, and hence only certain directions in parameter space, "
        "governed by the data, are updated.",
        "θ_T − θ_0 = −Σ_i u_i (1 − p_T(λ_i/D)) v_iᵀ(f_0 − Y)/√λ_i + O(N^−½),   u_i = J_0ᵀ v_i/√λ_i",
        "share outside ∝ N^−½ ± 0.1 beyond the 99 % interval, 0 excluded; inside, off the closed form ∝ N^−1 ± 0.15",
        "lecture, “Remarks”; Lee et al. 2019, equation 8; the exponents are derived in the documentation",
        directions,
        """import jax, jax.numpy as jnp, numpy as np, wideflow as wf
from wideflow import nn
x = jax.random.normal(jax.random.key(0), (4, 5))
for width in (64, 1024):
    net = nn.Serial(nn.Dense(width), nn.Tanh(), nn.Dense(1))
    params = net.init(jax.random.key(1), x)
    run = wf.finite.PairedTraining(wf.dynamics.SquareLoss(), wf.GradientDescent(0.5), None, [0, 100])
    end = run.run({"net": net.apply}, params, (x, jnp.sin(x[:, :1])))["net"].params
    flat = lambda tree: np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])
    J = np.stack([flat(jax.grad(lambda p, i=i: net.apply(p, x)[i, 0])(params)) for i in range(4)])
    moved = flat(end) - flat(params)
    left = moved - np.linalg.lstsq(J.T, moved)[0] @ J
    print(width, np.linalg.norm(left) / np.linalg.norm(moved))""",
    ),
    Claim(
        "lazy-scale",
        "linear",
        "A different way to get linearized behavior",
        "Any model becomes its linearization by scale alone: αh, trained at the rate 1/α², moves its parameters by "
        "1/α.",
        "sup_t |αh − αh_lin|,  ‖w_T − w_0‖,  ‖Θ_T − Θ_0‖ = O(1/α), at a fixed width",
        "exponents −1 ± 0.1 beyond the 99 % interval over seeds, −½ excluded",
        "Chizat, Oyallon and Bach 2019, theorems 2.2 to 2.4",
        lazy,
        """import numpy as np, wideflow as wf
from wideflow import nn
x = np.random.default_rng(0).standard_normal((4, 3))
net = nn.Serial(nn.Dense(16), nn.Tanh(), nn.Dense(1))
print(wf.beyond.lazy_scaling(net, x, np.sin(x[:, 0]), [4, 8, 16, 32], "centred", seeds=4, steps=100))""",
    ),
)
