"""The Gaussian integrals of the recursion: closed forms for ReLU, and the recursion of every layer, by hand."""

import jax
import jax.numpy as jnp
import numpy as np

from .. import nn
from ..kernels import Kernel
from .agreement import SIGMAS
from .claim import Claim, Outcome
from .materials import few_points, fully_connected
from .plot import Curve, Panel, Plot
from .setting import Setting

_EXACT = 1e-9  # relative, of closed forms and quadratures in float64
_W, _B, _DEPTH = 1.2, 0.4, 4

Integrals = tuple[np.ndarray, np.ndarray]  # E φφ' and E φ̇φ̇'


def _relu(k: np.ndarray) -> Integrals:
    """√(ab)/2π (sin ϑ + (π − ϑ) cos ϑ) and (π − ϑ)/2π of a covariance, a and b its diagonal, ϑ its angles."""
    size = np.sqrt(np.outer(np.diag(k), np.diag(k)))
    angle = np.arccos(np.clip(k / size, -1, 1))
    return size / (2 * np.pi) * (np.sin(angle) + (np.pi - angle) * np.cos(angle)), (np.pi - angle) / (2 * np.pi)


def _tanh(k: np.ndarray) -> Integrals:
    """By the trapezoidal rule in both directions for each pair of inputs, which converges exponentially here."""
    at = np.linspace(-9.0, 9.0, 181)
    weight = np.exp(-(at**2) / 2)
    p = np.outer(weight, weight) / weight.sum() ** 2
    a, b = np.sqrt(np.diag(k))[:, None], np.sqrt(np.diag(k))[None, :]
    rho = np.clip(k / (a * b), -1, 1)[..., None, None]
    z1 = a[..., None, None] * at[:, None]
    z2 = b[..., None, None] * (rho * at[:, None] + np.sqrt(1 - rho**2) * at[None, :])
    slopes = (1 - np.tanh(z1) ** 2) * (1 - np.tanh(z2) ** 2)
    return np.sum(p * np.tanh(z1) * np.tanh(z2), axis=(-2, -1)), np.sum(p * slopes, axis=(-2, -1))


def _sampled(k: np.ndarray, draws: np.ndarray) -> tuple[Integrals, Integrals]:
    """The integrals for ReLU by Monte Carlo over standard normal `draws [S, n]`, and their standard errors."""
    z = draws @ np.linalg.cholesky(k).T
    both = np.maximum(z, 0), (z > 0).astype(float)
    products = [one[:, :, None] * one[:, None, :] for one in both]
    means, errors = zip(*((p.mean(axis=0), p.std(axis=0) / len(p) ** 0.5) for p in products), strict=True)
    return means, errors


def _by_hand(k: np.ndarray, integrals: object) -> tuple[np.ndarray, np.ndarray]:
    """K^L and Θ^L of `_DEPTH` hidden layers from x·x'/d: K = σ_b² + σ_w² E φφ', Θ = K + σ_w² Θ E φ̇φ̇'."""
    nngp = _B**2 + _W**2 * k
    ntk = nngp
    for _ in range(_DEPTH):
        value, slope = integrals(nngp)  # type: ignore[operator]
        nngp = _B**2 + _W**2 * value
        ntk = nngp + _W**2 * ntk * slope
    return nngp, ntk


def _distance(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.max(np.abs(one - other) / np.abs(other).max()))


def integrals(setting: Setting) -> Outcome:
    """Closed forms for ReLU against Monte Carlo and the library, and kernels of deep networks against the recursion."""
    x = few_points(setting, 4, 1).x
    k = x @ x.T / x.shape[1]
    means, errors = _sampled(k, setting.random("draws").standard_normal((setting.pick(200_000, 10**6, 10**7), 4)))
    closed = _relu(k)
    off = max(np.max(np.abs(m - c) / e) for m, c, e in zip(means, closed, errors, strict=True))
    setting.tell(0.3)
    found, exact = {}, {}
    with jax.enable_x64(True):
        q = jnp.asarray(np.diag(k))
        dual = nn.Relu().dual(q[:, None], jnp.asarray(k), q[None, :])
        found["closed forms"] = max(_distance(np.asarray(a), b) for a, b in zip(dual, closed, strict=True))
        for name, activation, form in (("relu", nn.Relu(), _relu), ("tanh", nn.Tanh(), _tanh)):
            kernels = Kernel(fully_connected(8, _DEPTH, activation, _W, _B))(x)
            exact[name] = np.asarray(kernels.ntk)
            found[name] = max(
                _distance(np.asarray(a), b) for a, b in zip((kernels.nngp, kernels.ntk), _by_hand(k, form), strict=True)
            )
    passed = bool(off < SIGMAS and max(found.values()) < _EXACT)
    text = (
        f"Monte Carlo within {off:.1f} standard errors of the closed forms; the library's kernels of {_DEPTH} hidden "
    )
    text += f"layers off the recursion by {found['relu']:.1e} (ReLU), {found['tanh']:.1e} (tanh)"
    curves = [
        Curve(name, _by_hand(k, form)[1].ravel(), exact[name].ravel())
        for name, form in (("relu", _relu), ("tanh", _tanh))
    ]
    line = np.array([0.0, max(curve.x.max() for curve in curves)])
    panel = Panel([*curves, Curve("equal", line, line, kind="guide")], "recursion by hand", "library")
    plot = Plot("entries", f"Entries of Θ after {_DEPTH} hidden layers.", text, (panel,))
    return Outcome(passed, text, {"errors": found, "Monte Carlo": float(off)}, (plot,))


CLAIMS = (
    Claim(
        "relu-integrals",
        "kernel",
        "Two-dimensional integrals, in closed form for ReLU",
        "The kernel is made of two-dimensional Gaussian integrals, which for some nonlinearities, such as ReLU, can be "
        "computed analytically; a recursion over layers does the rest.",
        "E φφ' = √(K K')/2π (sin ϑ + (π − ϑ) cos ϑ),   E φ̇φ̇' = (π − ϑ)/2π,   cos ϑ = K(x, x')/√(K K')",
        "closed forms within 4 standard errors of Monte Carlo; kernels of ReLU and tanh off the recursion by 1e-9",
        "Cho and Saul 2009; Jacot et al. 2018; lecture, “Main result”",
        integrals,
        """import jax, numpy as np, wideflow as wf
from wideflow import nn
x = jax.random.normal(jax.random.key(0), (3, 5))
k = np.asarray(x @ x.T / 5, float)
size = np.sqrt(np.outer(np.diag(k), np.diag(k)))
angle = np.arccos(np.clip(k / size, -1, 1))
value = size / (2 * np.pi) * (np.sin(angle) + (np.pi - angle) * np.cos(angle))
slope = (np.pi - angle) / (2 * np.pi)
print(value + k * slope, wf.Kernel(nn.Serial(nn.Dense(8), nn.Relu(), nn.Dense(1))).ntk(x))""",
    ),
)
