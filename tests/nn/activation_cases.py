"""Every nonlinearity with its function and slope almost everywhere, written again in NumPy."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import special

from wideflow import nn


@dataclass(frozen=True, eq=False)
class Case:
    source: str  # as a user writes it
    phi: Callable[[np.ndarray], np.ndarray]
    slope: Callable[[np.ndarray], np.ndarray]

    @property
    def layer(self) -> nn.Activation:
        return eval(self.source, vars(nn) | {"np": np})


def bell(z, b):
    return np.exp(-b * z**2)


def density(z):
    return np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)


def piecewise(below, above):
    return lambda z: np.where(z > 0, above(z), below(np.minimum(z, 0)))


def power(n):
    return lambda z: np.maximum(z, 0) ** n


def zero(z):
    return 0 * z


def logistic_slope(z):
    return special.expit(z) * special.expit(-z)


def hermite4(z):
    return (z**4 - 6 * z**2 + 3) / np.sqrt(24)


CUBIC = np.polynomial.Polynomial((0.3, -1.0, 0.5, 0.25))
L = 2.4020563531719796  # of the sigmoid-like error function
SCALE, ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717
GELU = np.polynomial.Polynomial((0, np.sqrt(2 / np.pi), 0, 0.044715 * np.sqrt(2 / np.pi)))


def tanh_gelu_slope(z):
    t = np.tanh(GELU(z))
    return (1 + t) / 2 + z * (1 - t**2) * GELU.deriv()(z) / 2


CLOSED = (
    Case("Identity()", lambda z: z, np.ones_like),
    Case("Relu()", power(1), lambda z: (z > 0) * 1.0),
    Case("LeakyRelu(slope=0.2)", piecewise(lambda z: 0.2 * z, lambda z: z), lambda z: np.where(z > 0, 1, 0.2)),
    Case("Abs()", np.abs, np.sign),
    Case("ABRelu(0.3, -1.2)", piecewise(lambda z: 0.3 * z, lambda z: -1.2 * z), lambda z: np.where(z > 0, -1.2, 0.3)),
    Case("Step()", lambda z: (z > 0) * 1.0, zero),
    Case("Sign()", np.sign, zero),
    Case("RectifiedMonomial(0)", lambda z: (z > 0) * 1.0, zero),
    Case("RectifiedMonomial(2)", power(2), lambda z: 2 * power(1)(z)),
    Case("RectifiedMonomial(3)", power(3), lambda z: 3 * power(2)(z)),
    Case("Erf()", special.erf, lambda z: 2 / np.sqrt(np.pi) * bell(z, 1)),
    Case(
        "Erf(a=1.4, b=0.6, c=0.3)",
        lambda z: 1.4 * special.erf(0.6 * z) + 0.3,
        lambda z: 1.68 / np.sqrt(np.pi) * bell(z, 0.36),
    ),
    Case("NormalCdf()", special.ndtr, density),
    Case("SigmoidLikeErf()", lambda z: (1 + special.erf(z / L)) / 2, lambda z: bell(z, 1 / L**2) / L / np.sqrt(np.pi)),
    Case("Gelu()", lambda z: z * special.ndtr(z), lambda z: special.ndtr(z) + z * density(z)),
    Case("Sin()", np.sin, np.cos),
    Case("Sin(a=0.7, w=1.4, s=0.6)", lambda z: 0.7 * np.sin(1.4 * z + 0.6), lambda z: 0.98 * np.cos(1.4 * z + 0.6)),
    Case("Cos()", np.cos, lambda z: -np.sin(z)),
    Case("Cos(a=0.7, w=1.4, s=0.6)", lambda z: 0.7 * np.cos(1.4 * z + 0.6), lambda z: -0.98 * np.sin(1.4 * z + 0.6)),
    Case(
        "Rbf(gamma=0.4)",
        lambda z: np.sqrt(2) * np.sin(np.sqrt(0.8) * z + np.pi / 4),
        lambda z: np.sqrt(1.6) * np.cos(np.sqrt(0.8) * z + np.pi / 4),
    ),
    Case("Gaussian()", lambda z: bell(z, 1), lambda z: -2 * z * bell(z, 1)),
    Case("Gaussian(a=1.3, b=0.6)", lambda z: 1.3 * bell(z, 0.6), lambda z: -1.56 * z * bell(z, 0.6)),
    Case(
        "Gabor(a=1.3, b=0.4, w=1.7, s=0.3)",
        lambda z: 1.3 * bell(z, 0.4) * np.sin(1.7 * z + 0.3),
        lambda z: 1.3 * bell(z, 0.4) * (1.7 * np.cos(1.7 * z + 0.3) - 0.8 * z * np.sin(1.7 * z + 0.3)),
    ),
    Case("Exp(a=0.8, b=0.5)", lambda z: 0.8 * np.exp(0.5 * z), lambda z: 0.4 * np.exp(0.5 * z)),
    Case("Monomial(0)", np.ones_like, zero),
    Case("Monomial(3)", lambda z: z**3, lambda z: 3 * z**2),
    Case("Polynomial((0.3, -1.0, 0.5, 0.25))", CUBIC, CUBIC.deriv()),
    Case("Hermite(0)", np.ones_like, zero),
    Case("Hermite(4)", hermite4, lambda z: (4 * z**3 - 12 * z) / np.sqrt(24)),
)
BY_QUADRATURE = (
    Case("Tanh()", np.tanh, lambda z: 1 / np.cosh(z) ** 2),
    Case("Sigmoid()", special.expit, logistic_slope),
    Case("Softplus()", lambda z: np.logaddexp(z, 0), special.expit),
    Case("Silu()", lambda z: z * special.expit(z), lambda z: special.expit(z) + z * logistic_slope(z)),
    Case("Elu()", piecewise(np.expm1, lambda z: z), piecewise(np.exp, np.ones_like)),
    Case(
        "Elu(alpha=0.7)",
        piecewise(lambda z: 0.7 * np.expm1(z), lambda z: z),
        piecewise(lambda z: 0.7 * np.exp(z), np.ones_like),
    ),
    Case(
        "Selu()",
        piecewise(lambda z: SCALE * ALPHA * np.expm1(z), lambda z: SCALE * z),
        piecewise(lambda z: SCALE * ALPHA * np.exp(z), lambda z: SCALE * np.ones_like(z)),
    ),
    Case("TanhGelu()", lambda z: z * (1 + np.tanh(GELU(z))) / 2, tanh_gelu_slope),
)
CASES = CLOSED + BY_QUADRATURE
