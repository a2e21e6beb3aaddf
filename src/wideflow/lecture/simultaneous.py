"""Simultaneous limits: width, data and dimension, or width and depth, go to infinity together."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .. import nn
from ..beyond import (
    HermiteConstants,
    NtkFluctuations,
    NTKRegression,
    NTKRegressionSimulation,
    RandomFeatureRegression,
    RandomFeatureSimulation,
    Replicates,
    centred,
)
from .claim import Claim, Outcome
from .materials import fully_connected, jacobian_ntk, keys
from .plot import Curve, Panel, Plot
from .power_law import CONFIDENCE
from .setting import Setting

_RIDGE, _NOISES = 1e-3, (0.25, 4.0)  # the first shows the bias, the second the variance


def double_descent(setting: Setting) -> Outcome:
    """Risk of random-feature regression against the number of features, with little and with much noise."""
    dimension, samples = setting.pick(60, 100, 300), 2.0
    constants = HermiteConstants.of(nn.Relu()).centred()
    ratios, fine = np.array([0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0]), np.linspace(0.3, 6.5, 200)
    off, peaks, curves, numbers = {}, {}, [], {}
    for place, noise in enumerate(_NOISES):
        theory = RandomFeatureRegression(constants, noise=noise)
        simulation = RandomFeatureSimulation(
            centred(nn.Relu()),
            noise=noise,
            dimension=dimension,
            seeds=setting.pick(20, 20, 40),
            seed=setting.number(f"simulation {noise}"),
        )
        found = []
        for row, ratio in enumerate(ratios):
            setting.tell((place + row / len(ratios)) / len(_NOISES))
            found.append(simulation.risk(ratio, samples, _RIDGE).samples[0])
        measured, expected = Replicates(np.stack(found)), theory.risk(ratios, samples, _RIDGE)
        allowed = 4 * measured.error + 3 / dimension * expected  # chance, and corrections of relative order 1/d
        off[noise] = float(np.max(np.abs(measured.mean - expected) / allowed))
        peaks[noise] = float(ratios[np.argmax(measured.mean)])
        curves.append(Curve(f"theory, noise {noise:g}", fine, theory.risk(fine, samples, _RIDGE), kind="theory"))
        curves.append(Curve(f"simulation, noise {noise:g}", ratios, *_band(measured)))
        numbers[f"noise {noise:g}"] = {"measured": measured.mean, "standard error": measured.error, "theory": expected}
    passed = max(off.values()) < 1 and set(peaks.values()) == {samples}
    panel = Panel(curves, "features per dimension N/d", "risk", log="y")
    shown = "; ".join(
        f"noise {noise:g}: {o:.2f} of what is allowed, peak at N/d = {peaks[noise]:g}" for noise, o in off.items()
    )
    text = f"largest difference at {shown}, where n/d = {samples:g}"
    plot = Plot("risk", f"Risk against width at {samples:g} d samples, d = {dimension}.", text, (panel,))
    return Outcome(passed, text, {"N/d": ratios} | numbers, (plot,))


def _band(measured: Replicates) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return (
        measured.mean,
        np.maximum(measured.mean - 2 * measured.error, measured.mean / 10),
        measured.mean + 2 * measured.error,
    )


def _tanh2(z: jnp.ndarray) -> jnp.ndarray:
    return jnp.tanh(2 * z)


def triple_descent(setting: Setting) -> Outcome:
    """Test error of regression with the finite-width NTK: peaks at N ≈ n/d and at N ≈ n."""
    samples, inputs = setting.pick((120, 60), (200, 100), (400, 200))
    shared = {"samples": samples, "inputs": inputs, "ridge": 1e-7, "noise": 0.3, "first_layer": 1e-4}
    theory = NTKRegression(HermiteConstants.of(_tanh2), parameters="counted", **shared)
    simulation = NTKRegressionSimulation(
        _tanh2, seeds=setting.pick(12, 12, 24), seed=setting.number("simulation"), **shared
    )
    first, second = (round(width) for width in theory.peaks)
    widths = np.array(
        [1, first, 5, 10, samples // 4, samples // 2, samples, 3 * samples // 2, 2 * samples, 4 * samples]
    )
    setting.tell(0.1)
    found, expected = simulation.errors(widths).test.samples, theory.errors(widths).test
    chosen = setting.random("bootstrap").integers(found.shape[1], size=(400, found.shape[1]))
    median, tail = np.median(found, axis=1), 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(np.median(found[:, chosen], axis=2), (tail, 100 - tail), axis=1)
    smooth = (widths >= 10) & (np.abs(np.log(widths / second)) > 0.3)
    off = np.maximum(low / expected, expected / high)[smooth].max()
    between, after = slice(2, 6), -1
    around = max(high[between].min(), high[after])
    passed = bool(off < 1.1 and low[[1, 6]].min() > 3 * around)
    fine = np.geomspace(1, 5 * samples, 160)
    curves = [
        Curve("theory", fine, theory.errors(fine).test, kind="theory"),
        Curve("median", widths, median, low, high),
    ]
    panel = Panel(curves, "width N", "test error", log="xy")
    shown = {f"N = {widths[at]}": f"{median[at]:.3g} ({low[at]:.3g} … {high[at]:.3g})" for at in (1, 4, 6, after)}
    text = f"medians {', '.join(f'{value} at {width}' for width, value in shown.items())}; away from the peaks "
    text += "the theory is in every interval" if off <= 1 else f"the theory is at most {off - 1:.0%} outside"
    plot = Plot("error", f"Test error of {samples} samples in {inputs} dimensions.", text, (panel,))
    return Outcome(
        passed, text, {"width": widths, "median": median, "low": low, "high": high, "theory": expected}, (plot,)
    )


def _entry(net: nn.Serial, x: Array, key: Array) -> Array:
    return jacobian_ntk(net, net.init(key, x), x)[0, 0]


def depth_and_width(setting: Setting) -> Outcome:
    """E[Θ²]/E[Θ]² of one input over ReLU networks whose depth is a share of their width."""
    width, seeds = setting.pick(32, 32, 64), setting.pick(1600, 4000, 40_000)
    depths = setting.pick((1, 2, 4), (1, 2, 4, 8), (1, 2, 4, 8, 16))
    x = jnp.ones((1, 4), jnp.float32)
    measured, error, exact, published = [], [], [], []
    for place, depth in enumerate(depths):
        setting.tell(place / len(depths))
        net = fully_connected(width, depth, nn.Relu(), 2**0.5)
        one = partial(_entry, net, x)
        drawn = jax.jit(lambda some, f=one: jax.lax.map(f, some, batch_size=200))(
            keys(setting, f"depth {depth}", seeds)
        )
        draws = np.asarray(drawn, np.float64)
        chosen = setting.random(f"bootstrap {depth}").integers(seeds, size=(400, seeds))
        measured.append(np.mean(draws**2) / np.mean(draws) ** 2)
        error.append(np.std([np.mean(draws[rows] ** 2) / np.mean(draws[rows]) ** 2 for rows in chosen]))
        exact.append(NtkFluctuations((width,) * depth).second_moment)
        published.append(np.exp(5 * depth / width))
    off = np.abs(np.array(measured) - exact) / error
    wrong = np.abs(np.array(measured) - published) / error
    passed = bool(off.max() < 4 < wrong.max())
    line = [Curve("exact sum", depths, exact, kind="theory"), Curve("exp(5 L/n)", depths, published, kind="guide")]
    low, high = np.array(measured) - 2 * np.array(error), np.array(measured) + 2 * np.array(error)
    panel = Panel([Curve("networks", depths, measured, low, high), *line], "depth L", "E[Θ²]/E[Θ]²")
    text = ", ".join(f"L = {d}: {m:.3f} ± {e:.3f}" for d, m, e in zip(depths, measured, error, strict=True))
    text += f"; off the exact sum by at most {off.max():.1f} standard errors, off exp(5L/n) by {wrong.max():.0f}"
    plot = Plot("moment", f"Fluctuations of the NTK over networks of width {width}.", text, (panel,))
    numbers = {"depth": depths, "measured": measured, "standard error": error, "exact": exact, "published": published}
    return Outcome(passed, text, numbers, (plot,))


CLAIMS = (
    Claim(
        "double-descent",
        "simultaneous",
        "Double descent where width and data grow together",
        "When width, number of samples and dimension go to infinity together, the test error has a peak where the "
        "number of features meets that of the samples, and falls again beyond.",
        "N/d → ψ₁, n/d → ψ₂:   risk = F₁² ℬ(ψ₁, ψ₂, λ) + (F_*² + τ²) 𝒱(ψ₁, ψ₂, λ) + F_*²",
        "means over draws within 4 standard errors and a share of 3/d (finite dimension); the largest at N = n",
        "Mei and Montanari 2022, theorems 1 and 2",
        double_descent,
        """import numpy as np
from wideflow import beyond, nn
theory = beyond.RandomFeatureRegression(beyond.HermiteConstants.of(nn.Relu()).centred(), noise=0.25)
ratios = np.array([0.5, 1.0, 2.0, 4.0])
print(theory.risk(ratios, 2.0, 1e-3))
simulation = beyond.RandomFeatureSimulation(beyond.centred(nn.Relu()), noise=0.25, dimension=30, seeds=4)
print(simulation.risk(ratios, 2.0, 1e-3).mean)""",
        data=(),
    ),
    Claim(
        "triple-descent",
        "simultaneous",
        "Triple descent of the neural tangent kernel",
        "Regression with the NTK of a finite network has two peaks: where its parameters, and where its width, meet "
        "the number of samples.",
        "E_test = E_train/(γ τ₁)²;   peaks at N ≈ n/d and N ≈ n",
        "theory within 10 % of the medians' 99 % intervals away from the peaks; both peaks three times what is around",
        "Adlam and Pennington 2020; the equations are derived anew in the documentation",
        triple_descent,
        """import jax.numpy as jnp
from wideflow import beyond
constants = beyond.HermiteConstants.of(lambda z: jnp.tanh(2 * z))
theory = beyond.NTKRegression(constants, 200, 100, 1e-7, noise=0.3, first_layer=1e-4, parameters="counted")
print(theory.peaks, theory.errors([2, 30, 200, 1000]).test)""",
        data=(),
    ),
    Claim(
        "depth-and-width",
        "simultaneous",
        "Depth and width together",
        "When depth grows in proportion to width the NTK does not become deterministic: its fluctuations depend on the "
        "ratio of depth to width.",
        "E[Θ²]/E[Θ]² → exp(5β)·(⅓ + (6β − 1 + e^(−6β))/(27β²)) = 1 + (11/3) β + …,   β = L/n",
        "within 4 standard errors of the exact sum at finite L and n; exp(5β) outside of them",
        "Hanin and Nica 2020 for the question; the exact sum is derived in the documentation",
        depth_and_width,
        """import jax, numpy as np, wideflow as wf
from wideflow import nn
net = nn.Serial(*(nn.Dense(32, 2**0.5), nn.Relu()) * 4, nn.Dense(1, 2**0.5))
x = np.ones((1, 4), np.float32)
keys = jax.random.split(jax.random.key(0), 20)
draws = [wf.EmpiricalKernel(net.apply, net.init(key, x)).ntk(x)[0, 0] for key in keys]
print(np.mean(np.square(draws)) / np.mean(draws) ** 2, wf.beyond.NtkFluctuations.of(net).second_moment)""",
        "The literature gives exp(5β) up to constants. As a law with numbers it is wrong: the growth with small β is "
        "1 + (11/3) β, not 1 + 5 β.",
        data=(),
    ),
)
