"""The start of training: outputs are Gaussian, and how much one entry of the kernel varies."""

from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from .. import nn
from ..kernels import Kernel
from .agreement import SIGMAS
from .claim import Claim, Outcome
from .materials import drawn_together, few_numbers, few_points, fully_connected, jacobian_ntk
from .plot import Curve, Panel, Plot
from .setting import Setting


def gaussian_start(setting: Setting) -> Outcome:
    """Outputs of networks at initialisation over many draws: their covariance and their excess kurtosis."""
    x = few_numbers(few_points(setting, 3, 1).x)
    widths, draws = (8, 16, 32, 64), setting.pick(20_000, 100_000, 1_000_000)
    expected = np.asarray(Kernel(fully_connected(4, 1, nn.Relu())).nngp(x))
    off, kurtosis, error = [], [], []
    for row, width in enumerate(widths):
        setting.tell(row / len(widths))
        net = fully_connected(width, 1, nn.Relu())
        f = drawn_together(
            setting, f"width {width}", net, x, draws, lambda p, net=net: net.apply(p, jnp.asarray(x))[:, 0]
        )
        products = f[:, :, None] * f[:, None, :]
        off.append(np.abs(products.mean(axis=0) - expected) / (products.std(axis=0) / draws**0.5))
        square = f**2 / np.mean(f**2, axis=0)
        each = square**2 - 2 * np.mean(square**2, axis=0) * square  # the kurtosis, to first order in single draws
        kurtosis.append(np.mean(square**2) - 3)
        error.append(each.mean(axis=1).std() / draws**0.5)
    theory, kurtosis, error = 15 / np.array(widths), np.array(kurtosis), np.array(error)
    sigmas = np.abs(kurtosis - theory) / error
    passed = bool(np.max(off) < SIGMAS and sigmas.max() < SIGMAS and kurtosis[0] > 10 * error[0])
    values = ", ".join(f"{k:.2f} ± {e:.2f}" for k, e in zip(kurtosis, error, strict=True))
    text = f"covariance within {np.max(off):.1f} standard errors of K at every width; excess kurtosis {values} "
    text += f"at widths {', '.join(map(str, widths))} (expected 15/N)"
    curves = [
        Curve("networks", widths, kurtosis, kurtosis - 2 * error, kurtosis + 2 * error),
        Curve("15/N", widths, theory, kind="theory"),
    ]
    plot = Plot("kurtosis", "Excess kurtosis of outputs over draws.", text, (Panel(curves, "width N", "kurtosis − 3"),))
    numbers = {"widths": widths, "kurtosis": kurtosis, "standard error": error, "covariance in errors": np.max(off)}
    return Outcome(passed, text, numbers, (plot,))


def _entry(net: nn.Serial, x: Array, params: Any) -> Array:
    return jacobian_ntk(net, params, x)[0, 1]


def variance(setting: Setting) -> Outcome:
    """N times the variance over draws of one entry of the NTK, against the variance of what one unit adds to it."""
    x = few_numbers(few_points(setting, 2, 1).x)
    widths, draws = (32, 64, 128, 256), setting.pick(4000, 20_000, 100_000)
    mean, expected = _unit_moments(x @ x.T / len(x))
    found, error, off = [], [], []
    for row, width in enumerate(widths):
        setting.tell(row / len(widths))
        net = fully_connected(width, 1, nn.Tanh())
        seen = drawn_together(setting, f"width {width}", net, x, draws, partial(_entry, net, jnp.asarray(x)))
        centred = width * (seen - seen.mean()) ** 2
        found.append(centred.mean())
        error.append(centred.std() / draws**0.5)
        off.append(abs(seen.mean() - mean) / (seen.std() / draws**0.5))
    found, error = np.array(found), np.array(error)
    sigmas = np.abs(found - expected) / error
    limit = float(np.asarray(Kernel(fully_connected(8, 1, nn.Tanh())).ntk(x))[0, 1])
    passed = bool(sigmas.max() < SIGMAS and max(off) < SIGMAS and abs(limit - mean) < 1e-5 * abs(mean))
    values = ", ".join(f"{v:.3g} ± {e:.2g}" for v, e in zip(found, error, strict=True))
    text = f"N Var Θ: {values} at widths {', '.join(map(str, widths))}, expected {expected:.3g}; "
    text += f"the mean within {max(off):.1f} standard errors of the limit at every width"
    curves = [
        Curve("networks", widths, found, found - 2 * error, found + 2 * error),
        Curve("variance of one unit's part", widths, np.full(len(widths), expected), kind="theory"),
    ]
    plot = Plot(
        "variance",
        "N times the variance of one entry of the NTK.",
        text,
        (Panel(curves, "width N", "N Var Θ", log="x"),),
    )
    return Outcome(passed, text, {"N Var": found, "standard error": error, "expected": expected}, (plot,))


def _unit_moments(k: np.ndarray, nodes: int = 80) -> tuple[float, float]:
    """Mean and variance of φφ' + a² φ̇φ̇' k₁₂ for φ = tanh, (z, z') ~ N(0, k) and a ~ N(0, 1), by quadrature."""
    at, weight = np.polynomial.hermite_e.hermegauss(nodes)
    root = np.linalg.cholesky(k)
    z1 = root[0, 0] * at[:, None]
    z2 = root[1, 0] * at[:, None] + root[1, 1] * at[None, :]
    p = np.outer(weight, weight) / weight.sum() ** 2
    value = np.tanh(z1) * np.tanh(z2)
    slope = (1 - np.tanh(z1) ** 2) * (1 - np.tanh(z2) ** 2) * k[0, 1]
    mean = np.sum(p * (value + slope))
    second = np.sum(p * (value**2 + 2 * value * slope + 3 * slope**2))
    return float(mean), float(second - mean**2)


_LINES = """import jax, numpy as np, wideflow as wf
from wideflow import nn
x = jax.random.normal(jax.random.key(0), (2, 5))
keys = jax.random.split(jax.random.key(1), 200)
"""
CLAIMS = (
    Claim(
        "gaussian-start",
        "kernel",
        "At the start the outputs are Gaussian",
        "The prior in function space of infinitely wide networks is a Gaussian process: preactivations and outputs at "
        "initialization are Gaussian with covariance K.",
        "z^ℓ ~ GP(0, K^ℓ);   one hidden layer of ReLU: E f f' = K at any N,   E f⁴/(E f²)² − 3 = 15/N",
        "covariances and kurtosis within 4 standard errors over draws; the kurtosis of narrow networks is not zero",
        "Neal 1994; Lee et al. 2018; the kurtosis: E φ⁴/(E φ²)² = 6 for a rectified Gaussian",
        gaussian_start,
        _LINES
        + """for width in (8, 64, 512):
    net = nn.Serial(nn.Dense(width), nn.Relu(), nn.Dense(1))
    f = np.stack([net.apply(net.init(key, x), x)[:, 0] for key in keys])
    print(width, f.T @ f / len(f), wf.Kernel(net).nngp(x), np.mean(f**4) / np.mean(f**2) ** 2)""",
    ),
    Claim(
        "kernel-variance",
        "kernel",
        "How random the kernel is at finite width",
        "The kernel at initialization is a mean over hidden units of independent terms, a random variable that depends "
        "on the draw of the parameters; only the limit is deterministic.",
        "N Var Θ_0(x, x') = Var[φφ' + a² φ̇φ̇' x·x'/d] for one hidden layer",
        "N Var within 4 standard errors of the quadrature at four widths; so is the mean of the limit",
        "lecture, “Simple example”; the variance of a mean of independent terms",
        variance,
        _LINES
        + """for width in (32, 128):
    net = nn.Serial(nn.Dense(width), nn.Tanh(), nn.Dense(1))
    entries = [wf.EmpiricalKernel(net.apply, net.init(key, x)).ntk(x)[0, 1] for key in keys]
    print(width, width * np.var(entries))""",
    ),
)
