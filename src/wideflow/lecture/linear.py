"""Which model realizes this dynamics? The network's first Taylor polynomial in its parameters."""

import jax.numpy as jnp
import numpy as np

from .. import nn
from ..dynamics import GradientDescent, SquareLoss, max_learning_rate
from ..finite import NetworkTraining, linearize
from ..kernels import Kernel
from .claim import Claim, Outcome
from .materials import fully_connected, keys, points
from .plot import Curve, Frame, Panel, Plot
from .power_law import PowerLaw, Sizes
from .setting import Setting

_RATE = 0.5  # of the critical one


def linearization(setting: Setting) -> Outcome:
    """Train networks and their linearizations on the same full batches, at several widths."""
    import optax

    data = points(setting, setting.pick(16, 32, 128), 16)
    x, y, probes = (jnp.asarray(a, jnp.float32) for a in (data.x, data.y[:, None], data.x_test))
    widths = setting.pick((64, 128, 256, 512), (64, 128, 256, 512, 1024), (128, 512, 2048, 8192))
    seeds, steps = setting.pick(4, 8, 16), setting.pick(100, 300, 1000)
    net = fully_connected(8, 2, nn.Tanh(), b=0.1)
    lr = _RATE * max_learning_rate(np.asarray(Kernel(net).ntk(data.x)), GradientDescent(1.0))
    batches = np.tile(np.arange(len(x)), (steps, 1))
    training = NetworkTraining(SquareLoss(), optax.sgd(lr), batches)
    records = np.unique(np.round(np.geomspace(1, steps, 15)).astype(int)).tolist()
    errors, frames, seen = np.zeros((len(widths), seeds)), [], np.zeros((2, 0, 0, 0))
    for row, width in enumerate(widths):
        net = fully_connected(width, 2, nn.Tanh(), b=0.1)
        for column, key in enumerate(keys(setting, f"width {width}", seeds)):
            setting.tell((row + column / seeds) / len(widths))
            params = net.init(key, x)
            pair = (net.apply, linearize(net.apply, params))
            seen = np.stack([training.run(f, params, x, y, probes, [0, *records]).outputs for f in pair])
            change = np.sqrt(np.mean((seen[0][-1] - seen[0][0]) ** 2))
            errors[row, column] = np.sqrt(np.mean((seen[0] - seen[1]) ** 2, axis=(1, 2))).max() / change
        frames.append(Frame(f"width {width}", (_paths([0, *records], seen[0][:, :3, 0], seen[1][:, :3, 0]),)))
    law = PowerLaw("sup_t |f − f_lin|", -1.0, not_exponent=-0.5, tolerance=0.2)
    outcome = Sizes(widths, {law.label: errors}, "relative to the change of f").outcome(
        [law], "Largest deviation of the network from its linearization along training."
    )
    caption = "Outputs on three test points: network and linearization."
    plot = Plot("paths", caption, "Outputs along training.", (), tuple(frames), "width")
    return Outcome(outcome.passed, outcome.measured, outcome.numbers, (*outcome.plots, plot))


def _paths(steps: list[int], network: np.ndarray, linear: np.ndarray) -> Panel:
    curves = []
    for point in range(network.shape[1]):
        curves += [
            Curve("network" if point == 0 else "", steps, network[:, point]),
            Curve("linearization" if point == 0 else "", steps, linear[:, point], kind="theory"),
        ]
    return Panel(curves, "step", "output f(x)")


CLAIMS = (
    Claim(
        "linearization",
        "linear",
        "The model behaves like its linearization",
        "The dynamics of the model is equivalent to that of its first-order Taylor expansion about initialization: "
        "linear in the parameters, nonlinear in x.",
        "f_t(x) = f_0(x) + Σ_μ ∂f_0(x)/∂θ_μ (θ_μ(t) − θ_μ(0)) + O(1/N)",
        "sup_t |f − f_lin| ∝ N⁻¹: exponent −1 ± 0.2 beyond the 95 % interval over seeds, −½ excluded",
        "Lee et al. 2019, theorem 2.1 (which proves N^−½)",
        linearization,
        """import jax, jax.numpy as jnp, wideflow as wf
from wideflow import nn
x = jax.random.normal(jax.random.key(0), (8, 5))
net = nn.Serial(nn.Dense(1024), nn.Tanh(), nn.Dense(1))
params = net.init(jax.random.key(1), x)
linear = wf.linearize(net.apply, params)
moved = jax.tree.map(lambda p: p + 0.01, params)
print(net.apply(moved, x)[:, 0], linear(moved, x)[:, 0])""",
    ),
)
