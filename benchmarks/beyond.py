"""Every experiment of `wideflow.beyond` at its usual size, and every theory curve: wall seconds, compilation included.

    python benchmarks/beyond.py [--only WORDS] [--out FILE.md]

Wanted: experiments below 60 s and curves in seconds on two cores. Data are the digits that come with the library, or
Gaussian inputs. Each line says what was found, so that a fast wrong answer shows.
"""

import argparse
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import wideflow as wf
from wideflow import beyond, datasets, nn

WANTED = {"curve": 10, "experiment": 60}
RATIOS = np.geomspace(0.1, 10, 100)
ROWS: list[tuple[str, str, Callable[[], Any]]] = []


def row(kind: str, name: str) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    """Enter a function into the table: it computes, and returns what to print."""

    def enter(function: Callable[[], Any]) -> Callable[[], Any]:
        ROWS.append((kind, name, function))
        return function

    return enter


def dense(width: int, activation: nn.Layer, depth: int = 1, w: float = 1.0) -> nn.Serial:
    """A fully connected network with one output, NTK parameterization."""
    return nn.Serial(*(nn.Dense(width, w), activation) * depth, nn.Dense(1, w))


def digits(train: int, test: int) -> datasets.Task:
    """Digits 0 and 1, float32."""
    return datasets.binary(datasets.load("digits"), classes=(0, 1), train=train, test=test)


def gaussian(count: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs `[count, size]` and smooth targets, float32."""
    x = np.random.default_rng(0).standard_normal((count, size)).astype(np.float32)
    return x, np.sin(2 * x[:, 0])


@row("curve", "two-scalar model: 100 rates, width 1e6, 200 steps")
def _() -> Any:
    model = beyond.TwoScalarModel(width=1e6)
    return max(model.run(c, 200).peak_step for c in np.linspace(2.1, 3.9, 100))


@row("curve", "linear network, 64 points, width 1e8, 1,000 steps")
def _() -> Any:
    x, y = gaussian(64, 32)
    network = beyond.LinearNetwork.draw(x, y[:, None], width=10**8)
    return f"final λη {network.run(3 / network.curvature, 1000).curvatures[-1] * 3 / network.curvature:.2f}"


@row("curve", "random features: risk at 100 widths, and the best ridge")
def _() -> Any:
    theory = beyond.RandomFeatureRegression(beyond.HermiteConstants.of(beyond.centred(nn.Relu())), noise=0.25)
    return f"peak {theory.risk(RATIOS, 2.0, 1e-3).max():.2f}, best {theory.optimal_ridge(RATIOS, 2.0).risk.min():.2f}"


@row("curve", "NTK in high dimensions: 100 widths")
def _() -> Any:
    constants = beyond.HermiteConstants.of(beyond.centred(nn.Relu()))
    law = beyond.NTKRegression(constants, samples=200, inputs=100, ridge=1e-7, noise=0.3, first_layer=1e-4)
    return f"largest test error {law.errors(np.geomspace(10, 2000, 100)).test.max():.1f}"


@row("curve", "1/n correction of the NNGP, three tanh layers, 8 inputs")
def _() -> Any:
    found = beyond.nngp_correction(dense(64, nn.Tanh(), 3, 1.5), gaussian(8, 4)[0])
    return f"largest shift {np.abs(found.correction / found.nngp).max():.3f}"


@row("curve", "sphere: 60 degrees of a ReLU kernel in 10 dimensions")
def _() -> Any:
    return beyond.SphereSpectrum.of(wf.Kernel(dense(1, nn.Relu())), dimension=10, degrees=60).eigenvalues[:3].round(4)


@row("curve", "eigenlearning: a kernel of 1,600 digits, 30 sample sizes")
def _() -> Any:
    x, y = all_digits(1600)
    curve = beyond.LearningCurve.of(wf.Kernel(dense(1, nn.Relu(), 2)), x, y, ridge=1e-3)
    return f"test error at 400 {curve.predict(np.geomspace(20, 400, 30).astype(int)).test[-1]:.3f}"


@row("curve", "radial mean-field equation, two Gaussians, t = 10")
def _() -> Any:
    task = beyond.TwoGaussians(lambda t: np.maximum(t, 0))
    return f"risk {task.path(task.initial_radii(1.0), [0.0, 1.0, 10.0]).risk.round(3)}"


@row("curve", "quadratic units: matrix equation in 20 dimensions, t = 2")
def _() -> Any:
    units = beyond.QuadraticUnits(np.diag(np.linspace(1, 0.1, 20)))
    return f"risk {units.risk(units.path(0.64 * np.eye(20), [0.0, 0.5, 2.0])).round(3)}"


@row("curve", "erf units: order parameters of 8 students, 3 teachers, t = 20")
def _() -> Any:
    teacher, weights = np.eye(3, 10), np.random.default_rng(0).standard_normal((8, 10))
    units = beyond.ErfUnits(teacher @ teacher.T)
    return f"risk {units.risk(units.path(beyond.OrderParameters.of(weights, teacher), [0.0, 5.0, 20.0])).round(4)}"


@row("experiment", "sweep of learning rates: ReLU, 3 widths, 8 rates, 200 steps, 2 networks")
def _() -> Any:
    task = digits(32, 32)
    sweep = beyond.LearningRateSweep(c=[0.5, 1, 1.5, 2.2, 2.6, 3, 3.5, 3.9], networks=2)
    swept = sweep.run(lambda n: dense(n, nn.Relu()), [128, 256, 512], task.x_train, task.y_train[:, None])
    return f"largest peak {np.nanmax(swept.peak):.1f}"


@row("experiment", "the same with Taylor polynomials of order 1 and 2")
def _() -> Any:
    task = digits(32, 32)
    sweep = beyond.LearningRateSweep(c=[0.5, 1.5, 2.5, 3.5], orders=(None, 1, 2))
    swept = sweep.run(lambda n: dense(n, nn.Tanh()), [128, 256], task.x_train, task.y_train[:, None])
    return f"largest peak {np.nanmax(swept.peak):.1f}"


@row("experiment", "upper boundary by bisection, linear network, 512 units")
def _() -> Any:
    task, net = digits(32, 32), nn.Serial(nn.Dense(512), nn.Dense(1))
    params = net.init(jax.random.key(0), task.x_train)
    return beyond.BoundarySearch().run(net.apply, params, task.x_train, task.y_train[:, None])


@row("experiment", "edge of stability: 1,000 steps, 25 sharpnesses")
def _() -> Any:
    task = digits(32, 32)
    net = nn.reparameterize(dense(64, nn.Tanh(), 2), "standard", task.x_train)
    params = net.init(jax.random.key(0), task.x_train)
    search = beyond.EdgeOfStability(wf.GradientDescent(0.2), 1000)
    path = search.run(net.apply, params, task.x_train, task.y_train[:, None])
    return f"sharpness at the end {path.sharpness[-1]:.1f}, limit {2 / 0.2:.0f}"


@row("experiment", "hierarchy O_2 … O_4 at 5 widths, 200 networks each")
def _() -> Any:
    x, _ = gaussian(2, 4)
    return beyond.hierarchy_scaling(dense(512, nn.Tanh()), x, [1.0, -0.5], widths=[32, 64, 128, 256, 512])


@row("experiment", "first correction on digits at 4 widths, 8 networks each")
def _() -> Any:
    task = digits(4, 4)
    x = np.concatenate([task.x_train, task.x_test])
    return beyond.correction_scaling(dense(512, nn.Tanh()), x, task.y_train, [64, 128, 256, 512], start="centred")


@row("experiment", "fluctuations of the NTK: 1,000 ReLU networks of depth 4, width 64")
def _() -> Any:
    x = np.ones((1, 8), np.float32)
    net = nn.Serial(*(nn.Dense(64, 2**0.5), nn.Relu()) * 4, nn.Dense(1, 2**0.5))
    drawn = beyond.SampledKernels.draw(net, x, networks=1000)
    second = (drawn.ntk**2).mean() / drawn.ntk.mean() ** 2
    return f"E[Θ²]/E[Θ]² {second:.3f}, theory {beyond.NtkFluctuations((64,) * 4).second_moment:.3f}"


@row("experiment", "lazy scaling over 4 scales, plain and doubled, 8 networks each")
def _() -> Any:
    x, y = gaussian(4, 2)
    return [beyond.lazy_scaling(dense(32, nn.Tanh()), x, y, [8, 16, 32, 64], start) for start in ("plain", "doubled")][
        1
    ]


@row("experiment", "coordinate check of muP, 5 widths, 8 networks each")
def _() -> Any:
    x, y = gaussian(16, 8)
    family = lambda n: wf.reparameterize(dense(n, nn.Tanh(), 2), "mup", x)  # noqa: E731
    return beyond.coordinate_check(family, [64, 128, 256, 512, 1024], (x, y), (0.1, [1, 10]))


@row("experiment", "feasible rates of the standard parameterization, 4 widths, by training too")
def _() -> Any:
    x, y = gaussian(16, 8)
    family = lambda n: wf.reparameterize(dense(n, nn.Tanh(), 2), "standard", x)  # noqa: E731
    found = beyond.learning_rate_scaling(family, [64, 128, 256, 512], x, y, steps=50)
    return f"n^{found.critical_slope} by the kernel, n^{found.convergent_slope} by training"


@row("experiment", "1,000 particles, one pass of SGD, 1,000 steps")
def _() -> Any:
    network = beyond.ParticleNetwork(lambda theta, x: jnp.maximum(theta @ x, 0))
    training = beyond.ParticleTraining(network, step=0.02, steps=[0, 100, 1000])

    def sample(key: jax.Array, batch: int) -> tuple[jax.Array, jax.Array]:
        side, noise = jax.random.split(key)
        y = jax.random.rademacher(side, (batch,)).astype(jnp.float32)
        return (1 + 0.8 * y)[:, None] * jax.random.normal(noise, (batch, 40)), y

    theta = np.random.default_rng(0).standard_normal((1000, 40)) / 40**0.5
    return f"drift {training.one_pass(theta, sample, 100).drift.round(3)}"


@row("experiment", "risk of random features at 8 widths, 10 draws each, d = 100")
def _() -> Any:
    simulation = beyond.RandomFeatureSimulation(beyond.centred(nn.Relu()), noise=0.25)
    measured = simulation.risk([0.25, 0.5, 1, 1.5, 2, 2.5, 4, 8], 2.0, 1e-3)
    return f"peak {measured.mean.max():.2f} ± {measured.error[measured.mean.argmax()]:.2f}"


@row("experiment", "triple descent of the NTK at 8 widths, 8 draws each, 200 samples in 100 dimensions")
def _() -> Any:
    simulation = beyond.NTKRegressionSimulation(
        beyond.centred(nn.Relu()), samples=200, inputs=100, ridge=1e-7, noise=0.3, first_layer=1e-4
    )
    return f"test error {simulation.errors([1, 2, 4, 30, 100, 200, 400, 1000]).test.mean.round(1)}"


@row("experiment", "learning curve of 1,600 digits measured at 5 sizes, 10 draws each")
def _() -> Any:
    x, y = all_digits(1600)
    curve = beyond.LearningCurve.of(wf.Kernel(dense(1, nn.Relu(), 2)), x, y, ridge=1e-3)
    sizes = [20, 50, 100, 200, 400]
    measured, predicted = curve.measure(sizes), curve.predict(sizes)
    return f"test {measured.test.mean.round(3)}, predicted {predicted.test.round(3)}"


@row("experiment", "evolution of the kernel, NTK and mean field, 200 + 200 points, 512 units, 400 steps")
def _() -> Any:
    task, found = parity(200), []
    for exponent in (0.5, 1.0):
        scaling = nn.ABC((0, None, exponent), (0, None, 0), 1 - 2 * exponent)
        net = wf.reparameterize(dense(512, nn.Relu()), scaling, task.x)
        found.append(beyond.kernel_evolution(net, task, lr=0.1, steps=[0, 50, 100, 200, 400]).distance[-1])
    return f"kernel distance {found[0]:.3f} (NTK), {found[1]:.3f} (mean field)"


@row("experiment", "map of the regimes: 4 widths, 3 scalings, 4 rates, 4 seeds")
def _() -> Any:
    grid = beyond.RegimeGrid(widths=[64, 128, 256, 512], exponents=[0.5, 0.75, 1.0], rates=[0.25, 0.5, 1, 2], time=8)
    return beyond.regime_map(lambda n: dense(n, nn.Relu()), parity(40), grid)


def all_digits(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Digits of all classes, told apart by parity."""
    data = datasets.load("digits")
    x = data.x[:count].reshape(count, -1)
    x = x - x.mean(axis=0)
    return x / x.std(), np.where(data.y[:count].astype(int) % 2, 1.0, -1.0)


def parity(count: int) -> beyond.LearningTask:
    """The sign of a product of two Gaussian inputs of eight."""
    x = np.random.default_rng(0).standard_normal((2 * count, 8)).astype(np.float32)
    y = np.sign(x[:, 0] * x[:, 1])
    return beyond.LearningTask(x[:count], y[:count], x[count:], y[count:])


def line(kind: str, name: str, function: Callable[[], Any]) -> str:
    """Run one row; a line of the table."""
    started = time.perf_counter()
    found = str(function()).strip().splitlines()[-1]
    seconds = time.perf_counter() - started
    cells = kind, name, f"{seconds:.1f}", str(WANTED[kind]), " ".join(found.replace("|", r"\|").split())
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Print the table row by row; write it where `--out` says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[""], help="rows whose name holds one of these words")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    lines = [
        "# Experiments and theory curves of `wideflow.beyond`",
        "",
        f"{os.cpu_count()} cores, JAX {jax.__version__}, NumPy {np.__version__}, Python {platform.python_version()}. "
        "Wall seconds of a first run, compilation included. See `benchmarks/beyond.py`.",
        "",
        "| kind | what | seconds | wanted | found |",
        "|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    for kind, name, function in ROWS:
        if any(word in name for word in arguments.only):
            lines.append(line(kind, name, function))
            print(lines[-1], flush=True)
    if arguments.out:
        arguments.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
