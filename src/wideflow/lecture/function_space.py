"""The view from function space: the first equations of the tower hold for any network, at any time."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import finite, nn
from .claim import Claim, Outcome
from .materials import fully_connected, keys, points
from .setting import Setting

_EXACT = 1e-9  # relative, of identities in float64


def _flow(setting: Setting) -> tuple[finite.NetworkFlow, Any, jax.Array]:
    """A network in the middle of its training on square loss, and held-out points."""
    data = points(setting, setting.pick(6, 12, 32), 4)
    x, y = jnp.asarray(data.x), jnp.asarray(data.y)
    net = fully_connected(setting.pick(16, 32, 128), 2, nn.Tanh(), b=0.5)
    flow = finite.NetworkFlow(lambda p, inputs: net.apply(p, inputs)[:, 0], x, lambda f: (f - y) / len(y))
    params = net.init(keys(setting, "network", 1)[0], x)
    step = jax.jit(lambda p: jax.tree.map(lambda leaf, u: leaf + 0.5 * u, p, flow.direction(p)))
    for _ in range(5):
        params = step(params)
    return flow, params, jnp.asarray(data.x_test)


def function_equation(setting: Setting) -> Outcome:
    """Move the parameters a little along the flow, and compare the outputs' change with the kernel's equation."""
    with jax.enable_x64(True):
        flow, params, x_test = _flow(setting)
        moved = jax.jvp(lambda p: flow.f(p, x_test), (params,), (flow.direction(params),))[1]
        ntk = finite.EmpiricalKernel(flow.f, params).ntk(x_test, flow.x)
        predicted = -ntk @ flow.slopes(flow.f(params, flow.x))
        return _identity(np.asarray(moved), np.asarray(predicted), "df/dt")


def kernel_equation(setting: Setting) -> Outcome:
    """The NTK's derivative along the flow by finite differences, against O₃ contracted with the slopes."""
    with jax.enable_x64(True):
        flow, params, _ = _flow(setting)
        slopes = np.asarray(flow.slopes(flow.f(params, flow.x)))
        third = np.asarray(finite.hierarchy(flow.f, params, flow.x, 3)[3])
        direction, h = flow.direction(params), 1e-4
        ends = [jax.tree.map(lambda p, u, s=s: p + s * h * u, params, direction) for s in (-1.0, 1.0)]
        low, high = (np.asarray(finite.empirical_ntk(flow.f, end, flow.x)) for end in ends)
        return _identity((high - low) / (2 * h), -third @ slopes, "dΘ/dt", tolerance=1e-6)


def _identity(measured: np.ndarray, predicted: np.ndarray, name: str, tolerance: float = _EXACT) -> Outcome:
    error = float(np.linalg.norm(measured - predicted) / np.linalg.norm(predicted))
    numbers = {"relative error": error, "values": int(predicted.size)}
    return Outcome(error < tolerance, f"{name}: relative error {error:.1e} over {predicted.size} values", numbers)


CLAIMS = (
    Claim(
        "function-equation",
        "function-space",
        "The kernel moves the function",
        "Under gradient flow of the parameters, the outputs follow an equation in which the parameters appear only "
        "through the kernel Θ_t, at any width and any time.",
        "df(x)/dt = −Σ_α Θ_t(x, x_α) ∂L/∂f(x_α),   Θ_t(x, x') = Σ_μ ∂f(x)/∂θ_μ ∂f(x')/∂θ_μ",
        "relative error below 1e-9 in float64",
        "lecture, “The view from function space”",
        function_equation,
        """import jax, jax.numpy as jnp, wideflow as wf
from wideflow import nn
net = nn.Serial(nn.Dense(32), nn.Tanh(), nn.Dense(1))
x = jax.random.normal(jax.random.key(0), (8, 5))
y = jnp.sin(x[:, 0])
params = net.init(jax.random.key(1), x)
f = lambda p, x: net.apply(p, x)[:, 0]
flow = wf.finite.NetworkFlow(f, x, lambda f: (f - y) / len(y))
moved = jax.jvp(lambda p: f(p, x), (params,), (flow.direction(params),))[1]
print(moved + wf.EmpiricalKernel(f, params).ntk(x) @ flow.slopes(f(params, x)))  # zero up to rounding""",
    ),
    Claim(
        "kernel-equation",
        "function-space",
        "O₃ moves the kernel",
        "The kernel itself moves, by the next tensor of a tower: O₃, made of second derivatives of the network.",
        "dΘ_t(x, x')/dt = −Σ_α O₃(x, x', x_α) ∂L/∂f(x_α)",
        "relative error below 1e-6 against finite differences of the kernel in float64",
        "lecture, “What dictates function space dynamics?”; Dyer and Gur-Ari 2020",
        kernel_equation,
        """import jax, jax.numpy as jnp, wideflow as wf
from wideflow import nn
net = nn.Serial(nn.Dense(32), nn.Tanh(), nn.Dense(1))
x = jax.random.normal(jax.random.key(0), (4, 5))
y = jnp.sin(x[:, 0])
params = net.init(jax.random.key(1), x)
f = lambda p, x: net.apply(p, x)[:, 0]
flow = wf.finite.NetworkFlow(f, x, lambda f: (f - y) / len(y))
ntk, velocity = flow.ntk_derivatives(params, order=1)
print(velocity + wf.hierarchy(f, params, x, 3)[3] @ flow.slopes(f(params, x)))  # zero up to rounding""",
    ),
)
