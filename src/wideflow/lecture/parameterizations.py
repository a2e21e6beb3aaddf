"""Different parameterizations: how large a learning rate may be."""

import jax.numpy as jnp
import numpy as np

from .. import nn
from .claim import Claim, Outcome
from .materials import drawn_ntks, fully_connected, keys, points
from .power_law import PowerLaw, Sizes, mean
from .setting import Setting

_NAMES = {"ntk": "NTK", "standard": "standard", "mean_field": "mean field, 1/N", "mup": "muP"}
_EXPONENTS = {"ntk": 0.0, "standard": -1.0, "mean_field": 1.0, "mup": 0.0}


def learning_rate_range(setting: Setting) -> Outcome:
    """2/λ_max of the loss's Gauss-Newton matrix at initialisation, which leads its Hessian, against the width."""
    data = points(setting, setting.pick(8, 16, 64), 1)
    x = jnp.asarray(data.x, jnp.float32)
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


CLAIMS = (
    Claim(
        "learning-rate-range",
        "parameterizations",
        "Feasible learning rates by parameterization",
        "In NTK parameterization the range of feasible learning rates of gradient descent is O(1), deduced from the "
        "Hessian; in standard parameterization it depends on the width.",
        "η_max = 2/λ_max(Θ/D):  NTK ∝ N⁰,  standard ∝ N⁻¹,  mean field ∝ N,  muP ∝ N⁰",
        "exponents 0, −1, +1, 0, each ± 0.1 beyond its 95 % interval over seeds",
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
)
