"""The NTK of one finite network, in one call."""

from collections.abc import Callable
from typing import Any

from ..nn import Layer, learning_rates
from .empirical_kernel import EmpiricalKernel


def empirical_ntk(f: Callable[[Any, Any], Any], params: Any, x1: Any, x2: Any = None, rates: Any = None) -> Any:
    """The NTK averaged over outputs, `[n1, n2]`: `EmpiricalKernel(f, params, rates=rates).ntk(x1, x2)`."""
    return EmpiricalKernel(f, params, rates=rates).ntk(x1, x2)


def network_ntk(net: Layer, params: Any, x: Any) -> Any:
    """The NTK of a network made of layers on one batch, `[n, n]`, with the learning rates that its layers give."""
    return empirical_ntk(net.apply, params, x, rates=learning_rates(net, params))
