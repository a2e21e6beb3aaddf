"""Networks of a few widths, and the width that a wanted deviation takes."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

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
    or more.
    Errors: ValueError for fewer than three different widths, and as `diagnose`. Cost: that of `diagnosed` a width.

    ```python
    measured = lambda f, params: wf.finite.measure_deviation(f, params, (x, y), wf.GradientDescent(0.5))
    print(wf.finite.extrapolate_width(network_of_width, [64, 128, 256, 512], measured))
    ```
    """
    sizes = np.asarray(widths, dtype=int)
    WidthExtrapolation(sizes, np.ones(len(sizes)), wanted)  # checks before any work
    deviations = [diagnosed(*family(int(width))).deviation for width in sizes]
    return WidthExtrapolation(sizes, np.asarray(deviations, dtype=np.float64), wanted)
