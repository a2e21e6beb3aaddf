"""Operations and memory of a function, estimated from its jaxpr."""

import math
from typing import Any

from jax.extend import core
from jax.extend.core import primitives


def operations(jaxpr: core.Jaxpr) -> float:
    """Operations of one evaluation: 2 for each term of a matrix product or convolution, else 1 for each entry written.

    Branches of a `cond` are all counted, the body of a `while` loop once.
    """
    return sum(_operations(eqn) for eqn in jaxpr.eqns)


def _operations(eqn: Any) -> float:
    inner = list(core.jaxprs_in_params(eqn.params))
    if inner:
        return eqn.params.get("length", 1) * sum(map(operations, inner))
    written = sum(math.prod(v.aval.shape) for v in eqn.outvars)
    if eqn.primitive is primitives.dot_general_p:
        (contract, _), _ = eqn.params["dimension_numbers"]
        return 2.0 * written * math.prod(eqn.invars[0].aval.shape[i] for i in contract)
    if eqn.primitive is primitives.conv_general_dilated_p:
        weights = eqn.invars[1].aval.shape
        return 2.0 * written * math.prod(weights) / max(1, weights[eqn.params["dimension_numbers"].rhs_spec[0]])
    return float(written)


def convolution_operations(jaxpr: core.Jaxpr) -> float:
    """The part of `operations` that convolutions are."""
    total = 0.0
    for eqn in jaxpr.eqns:
        inner = list(core.jaxprs_in_params(eqn.params))
        total += eqn.params.get("length", 1) * sum(map(convolution_operations, inner))
        total += _operations(eqn) if eqn.primitive is primitives.conv_general_dilated_p else 0.0
    return total


def activation_bytes(jaxpr: core.Jaxpr) -> tuple[float, float]:
    """Bytes of everything that one evaluation writes, a bound on what its backward pass keeps; and of the largest."""
    total = widest = 0.0
    for eqn in jaxpr.eqns:
        inner = [activation_bytes(some) for some in core.jaxprs_in_params(eqn.params)]
        total += eqn.params.get("length", 1) * sum(some for some, _ in inner)
        avals: list[Any] = [v.aval for v in eqn.outvars]
        written = [math.prod(aval.shape) * getattr(aval.dtype, "itemsize", 4) for aval in avals]
        total += 0.0 if inner else sum(written)
        widest = max(widest, *written, *(some for _, some in inner), 0.0)
    return total, widest
