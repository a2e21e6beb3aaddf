"""The sections of results.json: what the figures and tables of the page are made of."""

from dataclasses import asdict
from typing import Any

import jax
import numpy as np

from ..datasets import Task
from ..finite import Diagnosis, KernelMovement, WidthExtrapolation


def data_section(task: Task) -> dict[str, Any]:
    """What the data are."""
    return {
        "name": task.name,
        "description": task.description,
        "labels": list(task.classes) or None,
        "notes": list(task.notes),
    }


def network_section(name: str, params: Any, width: int | None) -> dict[str, Any]:
    """The network that is diagnosed."""
    leaves = [leaf for leaf in jax.tree.leaves(params) if hasattr(leaf, "dtype")]
    return {"name": name, "width": width, "parameters": int(sum(np.size(leaf) for leaf in leaves))}


def diagnosis_section(diagnosis: Diagnosis) -> dict[str, Any]:
    """Every number of a diagnosis; pairs are before and after."""
    hidden, scores = diagnosis.hidden, diagnosis.after_kernel
    return {
        "regime": diagnosis.regime,
        "verdict": diagnosis.verdict,
        "rule": str(diagnosis.rule),
        "lr": diagnosis.rule.lr,
        "critical_lr": diagnosis.critical_rate,
        "steps": diagnosis.steps,
        "losses": diagnosis.losses,
        "linear_loss": diagnosis.linear_loss,
        "parameter_change": diagnosis.parameter_change,
        "output_change": diagnosis.output_change,
        "deviation": diagnosis.deviation,
        "test_deviation": None if diagnosis.test_path is None else diagnosis.test_path.deviation,
        "sharpness": diagnosis.sharpness,
        "max_sharpness": diagnosis.max_sharpness,
        "lazy_index": diagnosis.lazy_index,
        "path": asdict(diagnosis.path),
        "test_path": None if diagnosis.test_path is None else asdict(diagnosis.test_path),
        "ntk": _movement(diagnosis.ntk),
        "hidden": None if hidden is None else hidden.changes,
        "features": None if hidden is None else _movement(hidden.features),
        "after_kernel": None if scores is None else _scores(scores),
    }


def widths_section(found: WidthExtrapolation, fraction: float) -> dict[str, Any]:
    """Deviations by width and the power law through them; `fraction`: of its critical rate each width trains at."""
    low, high = found.width_range
    return {
        "widths": found.widths,
        "deviations": found.deviations,
        "wanted": found.wanted,
        "fraction": fraction,
        "exponent": found.exponent,
        "exponent_error": found.exponent_error,
        "usable": found.usable,
        "width": found.width,
        "width_range": [low, high],
        "verdict": found.verdict,
    }


def _movement(kernel: KernelMovement | None) -> dict[str, Any] | None:
    return None if kernel is None else asdict(kernel)


def _scores(scores: Any) -> dict[str, Any]:
    named = {name: getattr(scores, name)._asdict() for name in ("network", "linearization", "before", "after")}
    return named | {"ridges": list(scores.ridges)}
