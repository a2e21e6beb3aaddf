"""Networks of a few widths, and the width that a wanted deviation takes."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from .deviation_path import DeviationPath
from .diagnosis import Diagnosis
from .width_extrapolation import WidthExtrapolation


def extrapolate_width(
    family: Callable[[int], tuple[Any, Any]],
    widths: Sequence[int],
    diagnosed: Callable[[Any, Any], Diagnosis | DeviationPath],
    wanted: float = 0.01,
) -> WidthExtrapolation:
    """Diagnose networks of a few widths, and extrapolate how wide one must be for a wanted deviation.

    `family(width)`: the function and the parameters of a network. `diagnosed(f, params)`: `measure_deviation`, or
    `diagnose`, with the data, loss, rule and steps filled in. `wanted`: `Diagnosis.deviation` looked for. One network a
    width is measured, so the scatter between draws is part of the uncertainty. Widths should differ by factors of two
    or more. Ctrl-C ends the run and returns the widths that are measured; before the first is, it is raised.
    Errors: TypeError for a family that is no function and returns no pair; ValueError for fewer than three different
    widths, and as `diagnose`. Cost: that of `diagnosed` a width.

    ```python
    measured = lambda f, params: wf.finite.measure_deviation(f, params, (x, y), wf.GradientDescent(0.5))
    print(wf.finite.extrapolate_width(network_of_width, [64, 128, 256, 512], measured))
    ```
    """
    sizes = checked_widths(family, widths, wanted)
    deviations = []
    try:
        for width in sizes:
            deviations.append(diagnosed(*network_of(family, int(width))).deviation)
    except KeyboardInterrupt:
        if not deviations:
            raise
    done = len(deviations)
    return WidthExtrapolation(sizes[:done], np.asarray(deviations, dtype=np.float64), wanted, done < len(sizes))


def checked_widths(family: Any, widths: Any, wanted: float) -> Int[np.ndarray, " n"]:
    """Widths of networks as integers, once they and the family that makes the networks are certain, before any work."""
    if not callable(family):
        raise TypeError(f"family: wanted a function width -> (f, params), got {family!r}")
    sizes = np.asarray(widths)
    if sizes.ndim != 1 or sizes.dtype.kind not in "iu":
        raise ValueError(f"widths: wanted whole numbers, as (64, 128, 256), got {widths!r}")
    WidthExtrapolation(sizes.astype(int), np.ones(len(sizes)), wanted)
    return sizes.astype(int)


def network_of(family: Callable[[int], tuple[Any, Any]], width: int) -> tuple[Any, Any]:
    """The function and the parameters of a network of a family."""
    network = family(width)
    if not isinstance(network, tuple | list) or len(network) != 2:
        raise TypeError(f"family: wanted (f, params) for the width {width}, got {type(network).__qualname__}")
    return tuple(network)
