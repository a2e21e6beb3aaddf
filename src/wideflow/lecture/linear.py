"""Which model realizes this dynamics? The network's first Taylor polynomial in its parameters."""

from functools import partial

import jax.numpy as jnp
import numpy as np

from .. import nn
from ..dynamics import GradientDescent, SquareLoss, max_learning_rate
from ..kernels import Kernel
from .claim import Claim, Outcome
from .materials import fully_connected, points
from .power_law import PowerLaw, geometric_mean
from .setting import Setting
from .side_by_side import SideBySide, parting

_RATE = 0.5  # of the critical one


def linearization(setting: Setting) -> Outcome:
    """Train networks and their linearizations on the same full batches, at several widths."""
    data = points(setting, setting.pick(16, 32, 128), 16)
    x, y, probes = (jnp.asarray(a, jnp.float32) for a in (data.x, data.y[:, None], data.x_test))
    widths = setting.pick((128, 256, 512, 1024), (128, 256, 512, 1024), (128, 512, 2048, 8192))
    seeds, steps = 32, setting.pick(40, 300, 1000)
    net = partial(fully_connected, depth=2, activation=nn.Tanh(), b=0.1)
    lr = _RATE * max_learning_rate(np.asarray(Kernel(net(8)).ntk(data.x)), GradientDescent(1.0))
    run = SideBySide(x, y, probes, SquareLoss(), lr, np.tile(np.arange(len(x)), (steps, 1)), every=steps // 20)
    law = PowerLaw("sup_t |f − f_lin|", -1.0, not_exponent=-0.5, tolerance=0.2, statistic=geometric_mean)
    return parting(setting, run, net, widths, seeds, law)


CLAIMS = (
    Claim(
        "linearization",
        "linear",
        "The model behaves like its linearization",
        "The dynamics of the model is equivalent to that of its first-order Taylor expansion about initialization: "
        "linear in the parameters, nonlinear in x.",
        "f_t(x) = f_0(x) + Σ_μ ∂f_0(x)/∂θ_μ (θ_μ(t) − θ_μ(0)) + O(1/N)",
        "sup_t |f − f_lin| ∝ N⁻¹: exponent −1 ± 0.2 beyond the 99 % interval over seeds, −½ excluded",
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
