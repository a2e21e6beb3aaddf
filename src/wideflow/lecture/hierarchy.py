"""Beyond the kernel: how small the higher tensors are, and what the first correction gains."""

import numpy as np

from .. import nn
from ..beyond import correction_scaling, hierarchy_scaling
from .claim import Claim, Outcome
from .materials import few_points, fully_connected
from .power_law import PowerLaw, Sizes, absolute_mean, geometric_mean
from .setting import Setting


def tensor_sizes(setting: Setting) -> Outcome:
    """O_3, O_4 … of networks with one hidden layer at initialisation, over widths and draws."""
    data = few_points(setting, 2, 1)
    order = setting.pick(4, 6, 6)
    widths = setting.pick((32, 64, 128, 256), (32, 64, 128, 256, 512), (64, 256, 1024, 4096))
    net = fully_connected(widths[-1], 1, nn.Tanh())
    scale = np.sqrt((data.x**2).mean(axis=1, keepdims=True))
    seed = setting.number("networks")
    found = hierarchy_scaling(net, data.x / scale, data.y, widths, order, setting.pick(400, 400, 2000), seed=seed)
    laws = [PowerLaw("O_3", -1.0, not_exponent=-0.5), PowerLaw("O_4", -1.0, not_exponent=-2.0, statistic=absolute_mean)]
    samples = {f"O_{s}": found.tensors[s] for s in range(3, order + 1)} | {"dΘ/dt": found.velocity}
    if order == 6:  # their sizes vary so much from draw to draw that quick runs cannot tell
        laws += [
            PowerLaw("O_5", -2.0, not_exponent=-1.0, tolerance=0.15),
            PowerLaw("O_6", -2.0, not_exponent=-1.0, tolerance=0.3, statistic=absolute_mean),
        ]
    laws.append(PowerLaw("dΘ/dt", -1.0, not_exponent=-0.5))
    return Sizes(widths, samples, "size over draws").outcome(
        laws, "Sizes of the tensors at initialisation: over draws, for even orders of the mean."
    )


def first_correction(setting: Setting) -> Outcome:
    """Networks trained by gradient flow against the frozen kernel's prediction, and with the first correction."""
    train = setting.pick(2, 4, 8)
    data = few_points(setting, train, train)
    widths = setting.pick((128, 256, 512, 1024), (128, 256, 512, 1024), (128, 256, 512, 1024, 2048))
    found = correction_scaling(
        fully_connected(widths[-1], 1, nn.Tanh()),
        np.concatenate([data.x, data.x_test]),
        data.y,
        widths,
        seeds=setting.pick(48, 64, 200),
        times=(1.0, 4.0),
        steps=40,
        start="centred",  # f − f_0: what is to be fitted does not vary from draw to draw
        seed=setting.number("networks"),
    )
    laws = [
        PowerLaw("frozen kernel", -1.0, not_exponent=-0.5, statistic=geometric_mean, tolerance=0.15),
        PowerLaw("with first correction", -2.0, not_exponent=-1.0, statistic=geometric_mean, tolerance=0.25),
    ]
    samples = {"frozen kernel": found.kernel, "with first correction": found.corrected}
    return Sizes(widths, samples, "error of f − f_0").outcome(
        laws, "Error of the frozen kernel's prediction, and of that with the first correction in 1/N."
    )


CLAIMS = (
    Claim(
        "tensor-sizes",
        "hierarchy",
        "Higher tensors are smaller, in pairs",
        "The kernel's rate of change involves O₃, that of O₃ involves O₄, and so on: a tower of equations whose "
        "tensors fall with width, so that it can be cut off.",
        "O_3, O_4 = O(1/N),   O_5, O_6 = O(1/N²):   O_s ~ N^(1 − ⌈s/2⌉)",
        "exponents −1, −1 ± 0.1 beyond the 99 % interval over draws, −½ excluded (default: O_5, O_6 −2 ± 0.15, 0.3)",
        "Dyer and Gur-Ari 2020; Huang and Yau 2020",
        tensor_sizes,
        """import numpy as np, wideflow as wf
from wideflow import nn
x = np.random.default_rng(0).standard_normal((2, 3))
net = nn.Serial(nn.Dense(64), nn.Tanh(), nn.Dense(1))
print(wf.beyond.hierarchy_scaling(net, x, [1.0, -0.5], widths=[8, 16, 32, 64], order=3, seeds=100))""",
        "Counting factors of 1/√N gives O(N^−½) for O_3; with random signs its size is O(1/N), as that of O_4.",
    ),
    Claim(
        "first-correction",
        "hierarchy",
        "The first correction to the kernel",
        "Finite width can be treated as a perturbation: with O₃ and O₄ at initialization the next order of the "
        "dynamics in 1/N is known in closed form.",
        "f_t = f_t^NTK + g_t + O(1/N²),   g_t = O(1/N) from Θ_0, O_3, O_4",
        "errors ∝ N^−1 (± 0.15 beyond the 99 % interval, −½ excluded) and ∝ N^−2 (± 0.25, −1 excluded)",
        "Huang and Yau 2020; Dyer and Gur-Ari 2020; derived anew in the documentation",
        first_correction,
        """import jax, jax.numpy as jnp, wideflow as wf
from wideflow import nn
x = jax.random.normal(jax.random.key(0), (3, 5))
net = nn.Serial(nn.Dense(64), nn.Tanh(), nn.Dense(1))
params = net.init(jax.random.key(1), x)
f = lambda p, x: net.apply(p, x)[:, 0]
tensors = wf.hierarchy(f, params, x, 4)
first = wf.finite.FirstCorrection(tensors, f(params, x), jnp.sin(x[:, 0]))
print(first.outputs([1.0, 10.0]), first.correction([1.0, 10.0]))""",
    ),
)
