"""Gaussian processes of wide networks on UCI regression sets, beside tuned RBF processes of scikit-learn.

    WIDEFLOW_DATA=FOLDER python benchmarks/gaussian_process.py [--sets yacht energy] [--splits 3] [--out FILE.md]

Every process is fitted to the training rows of the published splits by marginal likelihood, from two starts (RBF:
three), and scored on the test rows: root mean square error in the unit of the target, and mean negative log predictive
density (NLPD) in nats, also for the target in its own unit. Features and targets are standardised by the training rows.
Lower is better in both, and 0.95 of the targets should lie in the 95 % intervals.
Shown: mean ± standard error over the splits.
"""

import argparse
import os
import platform
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

import wideflow as wf
from wideflow import datasets, nn
from wideflow.dynamics import fit_hyperparameters, interval_coverage, negative_log_predictive_density
from wideflow.dynamics.evidence import Which

SETS = ("yacht", "bostonHousing", "energy", "concrete")


class Prediction(NamedTuple):
    """Of the standardised test targets: mean and variance, noise included."""

    mean: np.ndarray
    variance: np.ndarray


def network(activation: nn.Layer, depth: int) -> wf.Kernel:
    """A fully connected network of `depth` hidden layers."""
    hidden = [layer for _ in range(depth) for layer in (nn.Dense(512, w=1.4, b=0.3), activation)]
    return wf.Kernel(nn.Serial(*hidden, nn.Dense(1, w=1.0, b=0.3)))


def infinite(activation: nn.Layer, depths: tuple[int, ...], get: Which) -> Callable[[datasets.Task], Prediction]:
    """The process of infinitely wide networks, of the depth whose evidence is the largest."""

    def predict(task: datasets.Task) -> Prediction:
        kernels = (network(activation, depth) for depth in depths)
        fits = [fit_hyperparameters(kernel, task.x_train, task.y_train, get=get, starts=2) for kernel in kernels]
        fit = max(fits, key=lambda fit: fit.value)
        ensemble = wf.Ensemble(fit.kernel, task.x_train, task.y_train, wf.GradientFlow(), ridge=fit.noise)
        g = ensemble.predict(task.x_test, kind="nngp" if get == "nngp" else "ntkgp")
        return Prediction(g.mean, np.diagonal(g.cov) + fit.noise)

    return predict


def radial(per_feature: bool) -> Callable[[datasets.Task], Prediction]:
    """The RBF process of scikit-learn, with one length scale or one for each feature."""

    def predict(task: datasets.Task) -> Prediction:
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

        length = np.ones(task.x_train.shape[1]) if per_feature else 1.0
        kernel = ConstantKernel(1.0, (1e-4, 1e4)) * RBF(length, (1e-2, 1e4)) + WhiteKernel(0.1, (1e-7, 1e2))
        process = GaussianProcessRegressor(kernel, n_restarts_optimizer=2, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # values at their bounds: features that do not matter
            mean, deviation = process.fit(task.x_train, task.y_train).predict(task.x_test, return_std=True)
        return Prediction(mean, deviation**2)  # the white kernel is part of it

    return predict


METHODS: dict[str, Callable[[datasets.Task], Prediction]] = {
    "RBF": radial(per_feature=False),
    "RBF, a length for each feature": radial(per_feature=True),
    "NNGP, erf, depth 1 or 2": infinite(nn.Erf(), (1, 2), "nngp"),
    "NNGP, ReLU, depth 1 or 3": infinite(nn.Relu(), (1, 3), "nngp"),
    "NTK, ReLU, depth 1 or 3": infinite(nn.Relu(), (1, 3), "ntk"),
}


def scores(task: datasets.Task, prediction: Prediction) -> tuple[float, float, float]:
    """RMSE and NLPD in the unit of the target, and how many targets the 95 % intervals hold."""
    unit = float(task.target_scaling.std)
    rmse = unit * float(np.sqrt(np.mean((task.y_test - prediction.mean) ** 2)))
    nlpd = negative_log_predictive_density(task.y_test, *prediction).mean() + np.log(unit)
    return rmse, float(nlpd), float(interval_coverage(task.y_test, *prediction, levels=[0.95]).observed[0])


def row(name: str, method: str, splits: int) -> str:
    """One line of the table."""
    started, found = time.perf_counter(), []
    for split in range(splits):
        data = datasets.load(f"uci_gp/{name}", split=f"split{split}")
        task = datasets.regression(data, train=None, test=None, drop_constant=True)
        found.append(scores(task, METHODS[method](task)))
    seconds = (time.perf_counter() - started) / splits
    mean, error = np.mean(found, axis=0), np.std(found, axis=0, ddof=1) / np.sqrt(splits)
    cells = [f"{mean[0]:.3g} ± {error[0]:.1g}", f"{mean[1]:.2f} ± {error[1]:.2f}", f"{mean[2]:.2f}", f"{seconds:.0f}"]
    return f"| {name} | {method} | {' | '.join(cells)} |"


def main() -> None:
    """Print the table row by row; write it where `--out` says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=SETS)
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    lines = [
        f"# Gaussian processes on UCI regression sets, {arguments.splits} published splits",
        "",
        f"{os.cpu_count()} cores, JAX {jax.__version__}, NumPy {np.__version__}, Python {platform.python_version()}. "
        "Seconds are those of a fit with its predictions, compilation included. See `benchmarks/gaussian_process.py`.",
        "",
        "| set | process | RMSE | NLPD | in 95 % | seconds |",
        "|---|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    for name in arguments.sets:
        for method in METHODS:
            lines.append(row(name, method, arguments.splits))
            print(lines[-1], flush=True)
    if arguments.out:
        arguments.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
