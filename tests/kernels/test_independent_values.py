"""Kernels against stored float64 values of an implementation that shares nothing with the library or its oracles.

That one holds a matrix of all pixel pairs for every two inputs, in NumPy: tables of indices for windows, einsum for
attention, closed forms or products of trapezoidal rules of 261 nodes (Gauss rules cut at a kink) for nonlinearities.
Entries of the upper triangle, row by row.
"""

import json
from pathlib import Path

import numpy as np
import pytest

import wideflow as wf
from wideflow import nn

STORED = json.loads(Path(__file__).with_name("independent_values.json").read_text())
QUADRATURE = ("Tanh", "Sigmoid", "Softplus", "Silu", "Elu", "Selu")
FAST = {0, 18, 36}  # a few kinds; each takes seconds to compile
TABLE = [pytest.param(row, marks=[] if i in FAST else pytest.mark.slow) for i, row in enumerate(STORED)]


def inputs(shape):
    """Four inputs that any language can make."""
    k = np.arange(4.0 * np.prod(shape))
    return np.sin(1 + 1.7 * k + 0.01 * k**2).reshape(4, *shape)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row["net"][:60])
def test_kernels_equal_stored_values_of_an_independent_implementation(row):
    net = eval(row["net"], dict(vars(nn)))
    tolerance = 1e-6 if any(name in row["net"] for name in QUADRATURE) else 1e-8
    k = wf.Kernel(net)(inputs(row["shape"]))
    for value, stored in zip(k, (row["nngp"], row["ntk"]), strict=True):
        found = np.asarray(value)[np.triu_indices(4)]
        size = np.sqrt(np.outer(*[np.diagonal(value)] * 2))[np.triu_indices(4)]
        # Relative to the entry, and where that is a difference of larger ones, to a thousandth of what it could be.
        assert np.all(np.abs(found - stored) <= tolerance * np.maximum(np.abs(stored), 1e-3 * size))


def test_the_table_has_every_kind_of_layer():
    words = " ".join(row["net"] for row in STORED)
    assert len(STORED) >= 50
    for kind in ("Conv(", "ConvTranspose", "ConvLocal", "AvgPool", "SumPool", "Flatten", "LayerNorm", "RMSNorm"):
        assert kind in words
    for kind in ("SelfAttention", "Positions", "Resize", "Index", "Dropout", "Residual", "Sum(", "Product", "Concat"):
        assert kind in words
    for kind in ("Repeat", "circular", "valid", "stride", "dilation", "normalise_edges"):
        assert kind in words
