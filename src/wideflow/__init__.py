"""wideflow: how wide neural networks train, before and without training them.

Every name is imported when it is first asked for, so that `import wideflow` and `wideflow --help` load no JAX.
The parts are names like any other: `wf.nn`, `wf.datasets`, `wf.kernels`, … after `import wideflow as wf`.

>>> import wideflow as wf
>>> wf.nn.Serial(wf.nn.Dense(256), wf.nn.Erf(), wf.nn.Dense(1))
Serial(Dense(256), Erf(), Dense(1))
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what __getattr__ finds, for type checkers and editors
    from . import beyond as beyond
    from . import compare as compare
    from . import datasets as datasets
    from . import duals as duals
    from . import dynamics as dynamics
    from . import finite as finite
    from . import kernels as kernels
    from . import lecture as lecture
    from . import nn as nn
    from . import report as report
    from .dynamics import Ensemble as Ensemble
    from .dynamics import GradientDescent as GradientDescent
    from .dynamics import GradientFlow as GradientFlow
    from .dynamics import HeavyBall as HeavyBall
    from .dynamics import LossTrajectory as LossTrajectory
    from .dynamics import Nesterov as Nesterov
    from .dynamics import Trajectory as Trajectory
    from .dynamics import fit_hyperparameters as fit_hyperparameters
    from .dynamics import max_learning_rate as max_learning_rate
    from .finite import EmpiricalKernel as EmpiricalKernel
    from .finite import diagnose as diagnose
    from .finite import hierarchy as hierarchy
    from .finite import linearize as linearize
    from .finite import taylor as taylor
    from .kernels import Kernel as Kernel
    from .kernels import gram as gram
    from .nn import reparameterize as reparameterize

__version__ = "0.1.0"

__all__ = [
    "EmpiricalKernel",
    "Ensemble",
    "GradientDescent",
    "GradientFlow",
    "HeavyBall",
    "Kernel",
    "LossTrajectory",
    "Nesterov",
    "Trajectory",
    "beyond",
    "datasets",
    "diagnose",
    "duals",
    "dynamics",
    "finite",
    "fit_hyperparameters",
    "gram",
    "hierarchy",
    "kernels",
    "linearize",
    "max_learning_rate",
    "nn",
    "reparameterize",
    "taylor",
]
_PARTS = ("beyond", "compare", "datasets", "duals", "dynamics", "finite", "kernels", "lecture", "nn", "report")
_PART_OF = {
    "EmpiricalKernel": "finite",
    "Ensemble": "dynamics",
    "GradientDescent": "dynamics",
    "GradientFlow": "dynamics",
    "HeavyBall": "dynamics",
    "Kernel": "kernels",
    "Nesterov": "dynamics",
    "LossTrajectory": "dynamics",
    "Trajectory": "dynamics",
    "diagnose": "finite",
    "fit_hyperparameters": "dynamics",
    "gram": "kernels",
    "hierarchy": "finite",
    "linearize": "finite",
    "max_learning_rate": "dynamics",
    "reparameterize": "nn",
    "taylor": "finite",
}


def __getattr__(name: str) -> object:
    if name in _PARTS:
        return import_module(f".{name}", __name__)
    if name not in _PART_OF:
        import difflib  # only for the message: 20 ms

        close = difflib.get_close_matches(name, (*_PARTS, *_PART_OF), n=1)
        nearest = f"; did you mean {close[0]}?" if close else ""
        raise AttributeError(f"module 'wideflow' has no attribute {name!r}{nearest}")
    value = getattr(import_module(f".{_PART_OF[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
