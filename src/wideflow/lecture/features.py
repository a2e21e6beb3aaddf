"""Learning a kernel: parameterizations in which features move, and what the moved kernel knows of the targets."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .. import nn
from ..dynamics import GradientDescent, max_learning_rate
from ..finite import target_alignment
from ..kernels import Kernel
from .claim import Claim, Outcome
from .materials import fully_connected, keys, of_draws, points
from .plot import Curve, Panel, Plot
from .power_law import PowerLaw, Sizes, geometric_mean
from .setting import Setting

_STEPS = 100


def _scaled_ntk(net: nn.Serial, params: Any, x: Array) -> Array:
    """The NTK with the factors of the learning rate, `[n, n]`, from the Jacobian."""
    jacobian = jax.jacrev(lambda p: net.apply(p, x)[:, 0])(params)
    factors = nn.learning_rates(net, params)
    parts = [
        factor * (leaf.reshape(len(x), -1) @ leaf.reshape(len(x), -1).T)
        for leaf, factor in zip(jax.tree.leaves(jacobian), jax.tree.leaves(factors), strict=True)
    ]
    return sum(parts, jnp.zeros((len(x), len(x)), x.dtype))


def _trained(net: nn.Serial, x: Array, y: Array, lr: float, params: Any) -> dict[str, Array]:
    """Kernels and features before and after training with the parameterization's own rates."""
    factors = nn.learning_rates(net, params)
    slope = jax.grad(lambda p: 0.5 * jnp.mean((net.apply(p, x)[:, 0] - y) ** 2))

    def step(_: Array, p: Any) -> Any:
        return jax.tree.map(lambda leaf, factor, g: leaf - lr * factor * g, p, factors, slope(p))

    end = jax.lax.fori_loop(0, _STEPS, step, params)
    before, after = (_scaled_ntk(net, p, x) for p in (params, end))
    body = nn.Serial(*net.layers[:-2])
    h0, h1 = (body.apply(p[:-2], x) for p in (params, end))
    return {
        "before": before,
        "after": after,
        "kernel": jnp.linalg.norm(after - before) / jnp.linalg.norm(before),
        "preactivations": jnp.sqrt(jnp.mean((h1 - h0) ** 2)),
        "f": jnp.sqrt(jnp.mean((net.apply(end, x) - net.apply(params, x)) ** 2)),
    }


def _family(name: str, width: int, x: Array) -> nn.Serial:
    net = nn.reparameterize(fully_connected(width, 2, nn.Tanh()), name, x)
    assert isinstance(net, nn.Serial)
    return net


def _rate(data_x: np.ndarray) -> float:
    ntk = np.asarray(Kernel(fully_connected(8, 2, nn.Tanh())).ntk(data_x))
    return 0.2 * max_learning_rate(ntk, GradientDescent(1.0))


def learning(setting: Setting) -> Outcome:
    """Two hidden layers in NTK and in muP parameterization, trained alike at several widths."""
    data = points(setting, setting.pick(16, 32, 128), 1)
    x, y = jnp.asarray(data.x, jnp.float32), jnp.asarray(data.y, jnp.float32)
    widths = setting.pick((64, 128, 256, 512), (64, 128, 256, 512, 1024), (128, 512, 2048, 8192))
    seeds, lr, samples = setting.pick(12, 16, 32), _rate(data.x), {}
    for name, label in (("ntk", "NTK"), ("mup", "muP")):
        for row, width in enumerate(widths):
            setting.tell((row / len(widths) + (name == "mup")) / 2)
            net = _family(name, width, x)
            seen = of_draws(net, x, keys(setting, f"{name} {width}", seeds), partial(_trained, net, x, y, lr))
            for what in ("kernel", "preactivations", "f"):
                samples.setdefault(f"{what}, {label}", []).append(seen[what])
    laws = [
        PowerLaw("kernel, NTK", -1.0, not_exponent=-0.5, tolerance=0.15, statistic=geometric_mean),
        PowerLaw("kernel, muP", 0.0, not_exponent=-0.5, statistic=geometric_mean),
        PowerLaw("preactivations, NTK", -0.5, not_exponent=0.0, statistic=geometric_mean),
        PowerLaw("preactivations, muP", 0.0, not_exponent=-0.5, statistic=geometric_mean),
        PowerLaw("f, NTK", 0.0, not_exponent=-0.5, statistic=geometric_mean),
        PowerLaw("f, muP", 0.0, not_exponent=-0.5, statistic=geometric_mean),
    ]
    sizes = Sizes(widths, {name: np.stack(values) for name, values in samples.items()}, "size of the change")
    return sizes.outcome(laws, f"What {_STEPS} steps change in NTK and in muP parameterization.")


def alignment(setting: Setting) -> Outcome:
    """The alignment of the kernel with the targets before and after training, in both parameterizations."""
    data = points(setting, setting.pick(32, 64, 128), 1)
    x, y = jnp.asarray(data.x, jnp.float32), jnp.asarray(data.y, jnp.float32)
    width, seeds, lr = setting.pick(256, 512, 2048), setting.pick(12, 24, 48), _rate(data.x)
    gains, pairs = {}, {}
    for row, (name, label) in enumerate((("ntk", "NTK"), ("mup", "muP"))):
        setting.tell(row / 2)
        net = _family(name, width, x)
        seen = of_draws(net, x, keys(setting, name, seeds), partial(_trained, net, x, y, lr))
        pairs[label] = np.array([[target_alignment(k, data.y) for k in seen[when]] for when in ("before", "after")])
        gains[label] = pairs[label][1] - pairs[label][0]
    mean = {label: gain.mean() for label, gain in gains.items()}
    error = {label: gain.std(ddof=1) / seeds**0.5 for label, gain in gains.items()}
    more = mean["muP"] - mean["NTK"]
    passed = bool(mean["muP"] > 4 * error["muP"] and more > 4 * np.hypot(error["muP"], error["NTK"]))
    shown = []
    for label, (start, end) in pairs.items():
        gain = f"{mean[label]:.3f} ± {error[label]:.3f}"
        shown.append(f"{label} {start.mean():.3f} → {end.mean():.3f} (gain {gain})")
    text = f"alignment of Θ with the targets: {'; '.join(shown)}"
    curves = [
        Curve(
            label,
            (0, 1),
            pair.mean(axis=1),
            pair.mean(axis=1) - 2 * pair.std(axis=1),
            pair.mean(axis=1) + 2 * pair.std(axis=1),
        )
        for label, pair in pairs.items()
    ]
    panel = Panel(curves, "before (0) and after (1) training", "yᵀΘy/(‖Θ‖ ‖y‖²)")
    plot = Plot("alignment", f"Alignment of the kernel with the targets at width {width}.", text, (panel,))
    return Outcome(passed, text, {"gain": mean, "standard error": error}, (plot,))


_LINES = """import jax, numpy as np, wideflow as wf
from wideflow import nn
x = np.asarray(jax.random.normal(jax.random.key(0), (8, 5)))
y = np.sin(2 * x[:, 0])
net = nn.Serial(nn.Dense(256), nn.Tanh(), nn.Dense(256), nn.Tanh(), nn.Dense(1))
"""
CLAIMS = (
    Claim(
        "feature-learning",
        "features",
        "Kernel regime or feature learning: a choice of scales",
        "Networks operate near the kernel regime or far from it depending on settings: where the kernel is frozen in "
        "NTK parameterization it moves by O(1) at any width in others.",
        "‖ΔΘ‖/‖Θ‖ ~ N^−1, Δz ~ N^−½ (NTK);   both O(1) (muP);   Δf = O(1) in either",
        "exponents −1 ± 0.15, −½ ± 0.1 and 0 ± 0.1 beyond the 99 % interval over seeds, the other's excluded",
        "Yang and Hu 2021; lecture, “Recap & conclusion”",
        learning,
        _LINES
        + """task = wf.beyond.LearningTask(x, y, x + 0.1, y)
for name in ("ntk", "mup"):
    print(name, wf.beyond.kernel_evolution(nn.reparameterize(net, name, x), task, 0.5, [0, 50]))""",
    ),
    Claim(
        "learned-kernel",
        "features",
        "Networks learn a kernel",
        "Deep networks are “learning a kernel”: in function space it is the kernel that moves, towards the targets.",
        "yᵀΘ_T y/(‖Θ_T‖ ‖y‖²) > yᵀΘ_0 y/(‖Θ_0‖ ‖y‖²), and by more where features move",
        "gain positive by 4 standard errors over seeds in muP, and larger than in NTK parameterization by 4",
        "lecture, “Recap & conclusion”; Fort et al. 2020",
        alignment,
        _LINES
        + """task = wf.beyond.LearningTask(x, y, x + 0.1, y)
for name in ("ntk", "mup"):
    print(name, wf.beyond.kernel_evolution(nn.reparameterize(net, name, x), task, 0.5, [0, 50]).alignment)""",
    ),
)
