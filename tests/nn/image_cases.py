"""Networks over one, two and three pixel axes: the table of the checks on convolutions and pooling."""

from dataclasses import dataclass

import numpy as np

from wideflow import nn
from wideflow.nn import (
    AvgPool,
    Conv,
    Dense,
    Erf,
    Flatten,
    GlobalAvgPool,
    GlobalSumPool,
    Relu,
    Residual,
    Serial,
    SumPool,
)

C = 2  # input channels, and those of hidden layers, so that residual branches can keep them
LINE, IMAGE, BODY = (7,), (5, 4), (3, 2, 3)


@dataclass(frozen=True)
class Case:
    name: str
    pixels: tuple[int, ...]
    net: nn.Layer


first = Conv(C, 3, 1.3, 0.2)  # shared, as compilations then are
head = Dense(1, 1.2, 0.3)
CASES = (
    Case("line-same", LINE, Serial(first, Relu(), Conv(C, 2, 1.1, dilation=2), Erf(), Flatten(), head)),
    Case("line-valid", LINE, Serial(Conv(C, 3, 1.2, stride=2, padding="valid"), Relu(), GlobalAvgPool(), head)),
    Case(
        "line-circular",
        LINE,
        Serial(Conv(C, 4, 1.2, dilation=3, padding="circular"), Relu(), SumPool(2), Conv(C, 2, b=0.1), GlobalSumPool()),
    ),
    Case("flatten", IMAGE, Serial(first, Relu(), Conv(C, (3, 2), 1.2), Relu(), Flatten(), head)),
    Case(
        "strides",
        IMAGE,
        Serial(first, Relu(), Conv(C, (2, 3), stride=(2, 1), dilation=(1, 2)), Relu(), Conv(C, 2, stride=2), Flatten()),
    ),
    Case("valid", IMAGE, Serial(first, Relu(), Conv(C, (2, 3), padding="valid"), Erf(), GlobalAvgPool(), head)),
    Case(
        "pool-inside",
        IMAGE,
        Serial(first, Relu(), AvgPool(2, 1), Conv(C, 3, 1.1, 0.1, padding="circular"), Relu(), GlobalAvgPool(), head),
    ),
    Case(
        "edges",
        IMAGE,
        Serial(first, Relu(), AvgPool((3, 2), 1, "same", normalise_edges=True), Conv(C, 2), Relu(), Flatten(), head),
    ),
    Case("same-pool", IMAGE, Serial(first, Relu(), AvgPool(3, 2, "same"), first, Erf(), GlobalSumPool(), head)),
    Case("circular-pool", IMAGE, Serial(first, Relu(), SumPool(3, 2, "circular"), Dense(C, 1.1), Relu(), Flatten())),
    Case(
        "cylinder",  # around the ends of the second axis alone
        IMAGE,
        Serial(
            Conv(C, 3, 1.2, 0.1, stride=(2, 1), padding=("same", "circular")),
            Relu(),
            AvgPool(2, 1, ("valid", "circular")),
            Conv(C, 2, 1.1, 0.2, padding=("circular", "valid")),
            Relu(),
            GlobalAvgPool(),
        ),
    ),
    Case("pool-first", IMAGE, Serial(AvgPool(2, 1), Conv(C, 2, 1.2), Relu(), Flatten(), head)),
    Case("ends-in-pixels", IMAGE, Serial(first, Relu(), AvgPool((2, 1), 1), Conv(C, 3, 1.1, 0.1), Relu())),
    Case("residual", IMAGE, Serial(first, Residual(Relu(), first), Residual(Erf(), first), Relu(), GlobalAvgPool())),
    Case(
        "residual-equal", IMAGE, Serial(first, Residual(Relu(), first), Relu(), Flatten(), Dense(C, 1.1), Relu(), head)
    ),
    Case("dense-tail", IMAGE, Serial(first, Relu(), GlobalAvgPool(), Dense(C, 1.4, 0.1), Relu(), head)),
    Case(
        "body",
        BODY,
        Serial(Conv(C, 2, 1.3, 0.2), Relu(), SumPool((2, 1, 3)), Conv(C, (1, 2, 1)), Relu(), Flatten(), head),
    ),
    Case("body-average", BODY, Serial(Conv(C, 2, 1.3, stride=(1, 1, 2), padding="circular"), Relu(), GlobalAvgPool())),
)
IDS = [case.name for case in CASES]
# The checks that compile each network several times: every pair, then equal pixels, then none; and others, slowly.
ALL_KINDS = Case(
    "all-kinds",
    (4, 3),
    Serial(
        first,
        Residual(Relu(), first),
        AvgPool((2, 1), 1),
        Conv(C, 2, b=0.1, padding="circular"),
        Relu(),
        Flatten(),
        head,
    ),
)
OTHERS = [
    c for c in CASES if c.name in ("line-circular", "pool-inside", "residual-equal", "ends-in-pixels", "dense-tail")
]


def images(pixels: tuple[int, ...], dtype=np.float64) -> np.ndarray:
    """Three inputs anywhere, exact in float32 too."""
    x = np.random.default_rng(3).standard_normal((3, *pixels, C)).astype(np.float32)
    return x.astype(dtype)


def degenerate(pixels: tuple[int, ...], dtype=np.float64) -> np.ndarray:
    """One input anywhere, itself again, its opposite, ten times itself, a constant one, half black, and zero."""
    x = images(pixels, dtype)[:1]
    half = x * (np.arange(x.size).reshape(x.shape) >= x.size // 2)
    return np.concatenate([x, x, -x, 10 * x, np.ones_like(x), half, 0 * x])
