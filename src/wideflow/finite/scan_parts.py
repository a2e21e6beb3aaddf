"""Which arguments of a traced scan are constants, carried, and scanned."""

from jax.extend.core import JaxprEqn


def scan_parts(equation: JaxprEqn) -> tuple[int, int]:
    """Where the carried arguments of a scan begin and end; constants come before them, scanned arrays after.

    Told from shapes alone, because JAX versions write it in parameters of different names: what is scanned, and what
    is stacked, has one axis more outside than inside.
    """
    body = equation.params["jaxpr"].jaxpr
    scanned = _longer(equation.invars, body.invars)
    carried = len(equation.outvars) - _longer(equation.outvars, body.outvars)
    end = len(equation.invars) - scanned
    return end - carried, end


def _longer(outer: list, inner: list) -> int:
    return sum(len(one.aval.shape) > len(two.aval.shape) for one, two in zip(outer, inner, strict=True))
