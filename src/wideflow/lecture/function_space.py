"""The view from function space: the first equations of the tower hold for any network, at any time."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import finite, nn
from ..beyond.lazy_scaling import runge_kutta_step
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


def third_equation(setting: Setting) -> Outcome:
    """The second derivative of the kernel along the flow by finite differences, against O_3 and O_4."""
    with jax.enable_x64(True):
        flow, params, _ = _flow(setting)
        h = 1e-3
        moved = [_flowed(flow, params, k * h) for k in (-2, -1, 0, 1, 2)]
        ntks = [np.asarray(finite.empirical_ntk(flow.f, p, flow.x)) for p in moved]
        weights = np.array([-1, 16, -30, 16, -1]) / (12 * h**2)
        measured = sum(w * ntk for w, ntk in zip(weights, ntks, strict=True))
        tensors = finite.hierarchy(flow.f, params, flow.x, 4)
        slopes = np.asarray(flow.slopes(flow.f(params, flow.x)))
        third, fourth = np.asarray(tensors[3]), np.asarray(tensors[4])
        velocity = -np.asarray(tensors[2]) @ slopes / len(flow.x)  # of the slopes: (df/dt)/D
        predicted = fourth @ slopes @ slopes - third @ velocity
        return _identity(np.asarray(measured), predicted, "d²Θ/dt²", tolerance=1e-5)


def _flowed(flow: finite.NetworkFlow, params: Any, time: float) -> Any:
    """Parameters a short time later, or earlier, along the flow."""
    dt = time / 4
    for _ in range(4):
        params = runge_kutta_step(flow.direction, params, dt)
    return params


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
    Claim(
        "third-equation",
        "function-space",
        "O₄ moves O₃",
        "And so on: the next equation of the tower is that of O₃, and brings in O₄, with third derivatives of the "
        "network.",
        "dO₃/dt = −Σ_β O₄(·, ·, ·, x_β) ∂L/∂f(x_β):   d²Θ/dt² = Σ_αβ O₄ ℓ'_α ℓ'_β − Σ_α O₃ dℓ'_α/dt",
        "relative error below 1e-5 against second finite differences of the kernel along the flow in float64",
        "lecture, “What dictates function space dynamics?”; Huang and Yau 2020",
        third_equation,
        """import jax, jax.numpy as jnp, wideflow as wf
from wideflow import nn
net = nn.Serial(nn.Dense(32), nn.Tanh(), nn.Dense(1))
x = jax.random.normal(jax.random.key(0), (3, 5))
y = jnp.sin(x[:, 0])
params = net.init(jax.random.key(1), x)
f = lambda p, x: net.apply(p, x)[:, 0]
flow = wf.finite.NetworkFlow(f, x, lambda f: (f - y) / len(y))
O, slopes = wf.hierarchy(f, params, x, 4), flow.slopes(f(params, x))
moved = -O[2] @ slopes / len(y)
print(flow.ntk_derivatives(params, 2)[2] - O[4] @ slopes @ slopes + O[3] @ moved)  # zero up to rounding""",
    ),
)
