"""One row per closed form: the dual, its hyperparameters, and phi with its slope in NumPy."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import special

from wideflow import duals

SQRT_PI = np.sqrt(np.pi)


@dataclass(frozen=True, eq=False)
class Case:
    name: str
    dual: Callable  # (pair, *hyper) -> Dual
    hyper: tuple
    phi: Callable  # NumPy
    slope: Callable  # NumPy, almost everywhere
    is_continuous: bool = True

    def __call__(self, pair):
        return self.dual(pair, *self.hyper)


def relu(x):
    return np.maximum(x, 0)


def step(x):
    return (x > 0) * 1.0


def normal_density(x):
    return np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)


def hermite3(x):
    return (x**3 - 3 * x) / np.sqrt(6)


def gabor_slope(x):
    return 1.3 * np.exp(-0.4 * x**2) * (1.7 * np.cos(1.7 * x + 0.3) - 0.8 * x * np.sin(1.7 * x + 0.3))


def zero(x):
    return 0.0 * x


COEFFICIENTS = (0.3, -1.0, 0.5, 0.25, -0.1)

CASES = [
    Case("relu", duals.relu, (), relu, step),
    Case(
        "ab_relu",
        duals.ab_relu,
        (0.3, -1.2),
        lambda x: np.where(x > 0, -1.2 * x, 0.3 * x),
        lambda x: np.where(x > 0, -1.2, 0.3),
    ),
    Case(
        "leaky_relu",
        duals.leaky_relu,
        (0.1,),
        lambda x: np.where(x > 0, x, 0.1 * x),
        lambda x: np.where(x > 0, 1.0, 0.1),
    ),
    Case("abs", duals.abs_, (), np.abs, np.sign),
    Case("step", duals.step, (), step, zero, False),
    Case("sign", duals.sign, (), np.sign, zero, False),
    Case(
        "rectified_square",
        lambda p: duals.rectified_monomial(p, 2),
        (),
        lambda x: relu(x) ** 2,
        lambda x: 2 * relu(x),
    ),
    Case(
        "rectified_quintic",
        lambda p: duals.rectified_monomial(p, 5),
        (),
        lambda x: relu(x) ** 5,
        lambda x: 5 * relu(x) ** 4,
    ),
    Case("erf", duals.erf, (), special.erf, lambda x: 2 / SQRT_PI * np.exp(-(x**2))),
    Case(
        "scaled_erf",
        duals.erf,
        (1.4, 0.6, 0.3),
        lambda x: 1.4 * special.erf(0.6 * x) + 0.3,
        lambda x: 1.68 / SQRT_PI * np.exp(-0.36 * x**2),
    ),
    Case("normal_cdf", duals.normal_cdf, (), special.ndtr, normal_density),
    Case(
        "gelu",
        duals.gelu,
        (),
        lambda x: x * special.ndtr(x),
        lambda x: special.ndtr(x) + x * normal_density(x),
    ),
    Case("sin", duals.sin, (), np.sin, np.cos),
    Case(
        "scaled_sin",
        duals.sin,
        (1.3, 0.7, 0.4),
        lambda x: 1.3 * np.sin(0.7 * x + 0.4),
        lambda x: 0.91 * np.cos(0.7 * x + 0.4),
    ),
    Case(
        "scaled_cos",
        duals.cos,
        (1.3, 0.7, 0.4),
        lambda x: 1.3 * np.cos(0.7 * x + 0.4),
        lambda x: -0.91 * np.sin(0.7 * x + 0.4),
    ),
    Case(
        "rbf",
        duals.rbf,
        (0.4,),
        lambda x: np.sqrt(2) * np.sin(np.sqrt(0.8) * x + np.pi / 4),
        lambda x: np.sqrt(1.6) * np.cos(np.sqrt(0.8) * x + np.pi / 4),
    ),
    Case(
        "gaussian",
        duals.gaussian,
        (1.3, 0.6),
        lambda x: 1.3 * np.exp(-0.6 * x**2),
        lambda x: -1.56 * x * np.exp(-0.6 * x**2),
    ),
    Case(
        "gabor",
        duals.gabor,
        (1.3, 0.4, 1.7, 0.3),
        lambda x: 1.3 * np.exp(-0.4 * x**2) * np.sin(1.7 * x + 0.3),
        gabor_slope,
    ),
    Case(
        "exp",
        duals.exp,
        (0.8, 0.5),
        lambda x: 0.8 * np.exp(0.5 * x),
        lambda x: 0.4 * np.exp(0.5 * x),
    ),
    Case("identity", duals.identity, (), lambda x: x, lambda x: 1 + 0 * x),
    Case("cube", lambda p: duals.monomial(p, 3), (), lambda x: x**3, lambda x: 3 * x**2),
    Case(
        "polynomial",
        lambda p: duals.polynomial(p, COEFFICIENTS),
        (),
        np.polynomial.Polynomial(COEFFICIENTS),
        np.polynomial.Polynomial(COEFFICIENTS).deriv(),
    ),
    Case(
        "hermite",
        lambda p: duals.hermite(p, 3),
        (),
        hermite3,
        lambda x: (3 * x**2 - 3) / np.sqrt(6),
    ),
]
IDS = [case.name for case in CASES]
