"""The sections of results.json: what the figures of the page are drawn from.

Each takes the theory and the trained networks, or None before there are any.
"""

from typing import Any

import numpy as np

from .probes import Probes
from .theory import Prediction, Theory
from .trained import Trained

_MODES = (
    1,
    2,
    3,
    5,
    10,
    20,
    50,
    100,
)  # eigenvectors whose decay is shown, counted from the largest eigenvalue


def data_section(probes: Probes) -> dict[str, Any]:
    """What the data are; the two training images of the line where they are images."""
    task = probes.task
    images = None
    if task.image_shape is not None:
        pixels = task.denormalise(task.x_train[list(probes.line_ends)])  # x₁, x₂
        raw = task.denormalise(task.x_train)
        images = {
            "shape": [n for n in task.image_shape if n != 1 or len(task.image_shape) == 2],
            "pixels": pixels.reshape(2, -1),
            "values": [float(raw.min()), float(raw.max())],
        }
    return {
        "name": task.name,
        "description": task.description,
        "task": "binary" if task.classes else "regression",
        "labels": list(task.classes) or None,
        "images": images,
        "notes": list(task.notes),
    }


def line_section(theory: Theory, trained: Trained | None) -> dict[str, Any]:
    """Mean and standard deviation along the line between two training points, at every snapshot."""
    probes, where = theory.probes, theory.probes.line
    section = {
        "alpha": probes.alpha,
        "steps": theory.steps,
        "time": theory.times,
        "ntk": _moments(theory.ntk, where),
        "nngp": _moments(theory.nngp, where),
        "train_alpha": [0, 1],
        "train_target": [float(theory.y[end]) for end in probes.line_ends[::-1]],
    }
    if trained is not None:
        outputs = trained.outputs[:, :, where]
        moments = {"mean": outputs.mean(axis=0), "std": _std(outputs)}
        section["networks"] = {"count": trained.count, "width": trained.width} | moments
    return section


def loss_section(theory: Theory, trained: Trained | None) -> dict[str, Any]:
    """Train and test loss against time: the networks', the discrete theory's, the flow's."""
    section: dict[str, Any] = {"steps": theory.steps, "time": theory.times}
    task = theory.probes.task
    for part, where, y in (
        ("train", theory.probes.train, task.y_train),
        ("test", theory.probes.test, task.y_test),
    ):
        section[part] = {"ntk": theory.ntk.loss(where, y), "flow": theory.flow.loss(where, y)}
        if trained is not None:
            losses = trained.losses(where, y)
            section[part] |= {"networks": losses.mean(axis=0), "networks_std": _std(losses)}
    return section


def spectrum_section(theory: Theory, trained: Trained | None) -> dict[str, Any]:
    """Eigenvalues of the NTK on the training points, and the mean square residual along some eigenvectors."""
    count = len(theory.y)
    index = np.array([i for i in _MODES if i <= count])
    vectors = theory.spectrum.vectors[:, ::-1][:, index - 1]  # [D, m]
    values = theory.spectrum.values[::-1]
    modes = {
        "index": index - 1,  # 0 is the largest eigenvalue
        "eigenvalue": values[index - 1],
        "steps": theory.steps,
        "theory": theory.mode_residuals(vectors, values[index - 1]),
    }
    if trained is not None:
        residual = trained.outputs[:, :, theory.probes.train] - theory.y  # [S, T, D]
        modes["networks"] = np.mean((residual @ vectors) ** 2, axis=0).T
    return {"eigenvalues": values, "modes": modes}


def kernel_change_section(theory: Theory, ensembles: list[Trained]) -> dict[str, Any]:
    """How far the empirical NTK of single networks moved, and how far from the infinite one it began."""
    return {
        "steps": theory.steps,
        "widths": [{"width": e.width, "relative": e.kernel_change()} for e in ensembles],
        "initial_distance": [{"width": e.width, "relative": e.initial_distance(theory.ntk_train)} for e in ensembles],
    }


def _moments(prediction: Prediction, where: slice) -> dict[str, Any]:
    return {"mean": prediction.mean[:, where], "std": np.sqrt(prediction.var[:, where])}


def _std(values: np.ndarray) -> np.ndarray:
    return values.std(axis=0, ddof=1 if len(values) > 1 else 0)
