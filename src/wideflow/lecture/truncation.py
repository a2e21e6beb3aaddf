"""The tower of equations cut off at each order: how well it then predicts training."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .. import finite, nn
from ..beyond import WidthFamily
from ..beyond.lazy_scaling import runge_kutta_step
from .claim import Claim, Outcome
from .materials import few_points, fully_connected, keys
from .power_law import Bound, PowerLaw, Sizes, geometric_mean
from .setting import Setting

_ORDERS = (2, 3, 4)
_TIMES, _STEPS = 2.0, 40


def _seen(family: WidthFamily, x: Array, y: Array, key: Array, width: Array) -> tuple[Any, Array, Array]:
    """O_2 … O_4, the outputs at the start, and along gradient flow towards f_0 + y, `[T, P]`."""
    params, mask = family.init(key, x, width)
    f = lambda p, inputs: family.apply(p, inputs)[:, 0]  # noqa: E731
    f0 = f((params, mask), x)
    D = len(y)
    tensors = finite.hierarchy(f, (params, mask), x, 4, x[:D])
    flow = finite.NetworkFlow(f, x[:D], lambda outputs: (outputs - f0[:D] - y) / D)

    def step(p: Any, _: None) -> tuple[Any, Array]:
        p = runge_kutta_step(lambda q: flow.direction((q, mask))[0], p, _TIMES / _STEPS)
        return p, f((p, mask), x)

    return tensors, f0, jax.lax.scan(step, params, length=_STEPS)[1]


def truncation(setting: Setting) -> Outcome:
    """Networks trained by gradient flow against their hierarchies with the last tensor held constant."""
    data = few_points(setting, setting.pick(2, 3, 6), 1)
    widths = setting.pick((128, 256, 512, 1024), (128, 256, 512, 1024), (128, 256, 512, 1024, 2048, 4096))
    seeds = setting.pick(64, 64, 200)
    family = WidthFamily(fully_connected(widths[-1], 1, nn.Tanh()))
    errors = {f"order {p}": np.zeros((len(widths), seeds)) for p in _ORDERS}
    with jax.enable_x64(True):
        x, y = jnp.asarray(np.concatenate([data.x, data.x_test])), jnp.asarray(data.y)
        many = jax.jit(lambda some, width: jax.lax.map(lambda key: _seen(family, x, y, key, width), some))
        for row, width in enumerate(widths):
            setting.tell(row / len(widths))
            tensors, f0, f = jax.tree.map(np.asarray, many(keys(setting, f"width {width}", seeds), jnp.asarray(width)))
            for s in range(seeds):
                one = {p: tensor[s] for p, tensor in tensors.items()}
                paths = [_cut(one, p, f0[s], data.y) for p in _ORDERS]
                change = np.abs(f[s] - f0[s]).max()
                for p, path in zip(_ORDERS, paths, strict=True):
                    errors[f"order {p}"][row, s] = np.abs(path - f[s][[9, 19, 39]]).max() / change
    laws = [
        PowerLaw("order 2", -1.0, -0.5, 0.15, geometric_mean),
        Bound("order 3", -1.0, -0.5, 0.2, statistic=geometric_mean),
        PowerLaw("order 4", -2.0, -1.0, 0.25, geometric_mean),
    ]
    return Sizes(widths, errors, "error of f, over its change").outcome(
        laws, "Error of the tower of equations, cut off at each order, against networks in gradient flow."
    )


def _cut(tensors: dict[int, np.ndarray], order: int, f0: np.ndarray, y: np.ndarray) -> np.ndarray:
    kept = {p: tensor for p, tensor in tensors.items() if p <= order}
    hierarchy = finite.TruncatedHierarchy(kept, f0, f0[: len(y)] + y)
    return hierarchy.outputs(_TIMES * np.array([0.25, 0.5, 1.0]), rtol=1e-7, atol=1e-9)


CLAIMS = (
    Claim(
        "truncation",
        "hierarchy",
        "Where to cut the tower off",
        "Backing off slightly from infinite width there is an ordering: lower equations of the tower are more "
        "suppressed in the inverse width, so that it can be truncated.",
        "dO_p/dt = 0:   error O(1/N) for p = 2 and 3,   O(1/N²) for p = 4",
        "exponents −1 ± 0.15 (−½ excluded), −1 or less (± 0.2, −½ excluded), −2 ± 0.25 (−1 excluded) beyond 99 %",
        "Huang and Yau 2020; the orders pair by the parity of random signs, Dyer and Gur-Ari 2020",
        truncation,
        """import jax, jax.numpy as jnp, wideflow as wf
from wideflow import nn
x = jax.random.normal(jax.random.key(0), (3, 5))
net = nn.Serial(nn.Dense(64), nn.Tanh(), nn.Dense(1))
params = net.init(jax.random.key(1), x)
f = lambda p, x: net.apply(p, x)[:, 0]
tensors = wf.hierarchy(f, params, x, 4)
for order in (2, 3, 4):
    kept = {p: tensor for p, tensor in tensors.items() if p <= order}
    print(order, wf.finite.TruncatedHierarchy(kept, f(params, x), jnp.sin(x[:, 0])).outputs([1.0, 4.0]))""",
    ),
)
