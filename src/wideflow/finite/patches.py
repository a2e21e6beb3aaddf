"""The pixels that a convolution's window sees."""

from itertools import product
from typing import Any

import jax.numpy as jnp
from jax import Array, lax


def patches(x: Array, window: tuple[int, ...], params: dict[str, Any]) -> Array:
    """What each output pixel of a convolution is multiplied with, `[groups, n · pixels, window · channels]`.

    `x`: the convolution's input in its own layout; `window`: the shape of its weights; `params`: those of
    `lax.conv_general_dilated_p`. Cost: one strided copy of the input for each pixel of the window.
    """
    layout, groups = params["dimension_numbers"], params["feature_group_count"]
    x = x.transpose(layout.lhs_spec[0], *layout.lhs_spec[2:], layout.lhs_spec[1])  # [n, *pixels, channels]
    inside = [(low, high, d - 1) for (low, high), d in zip(params["padding"], params["lhs_dilation"], strict=True)]
    x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *inside, (0, 0, 0)])
    sizes = [window[i] for i in layout.rhs_spec[2:]]
    reach = [(w - 1) * d for w, d in zip(sizes, params["rhs_dilation"], strict=True)]
    seen = []
    for offset in product(*map(range, sizes)):
        start = [o * d for o, d in zip(offset, params["rhs_dilation"], strict=True)]
        stop = [s + n - r for s, n, r in zip(start, x.shape[1:-1], reach, strict=True)]
        strides = (1, *params["window_strides"], 1)
        seen.append(lax.slice(x, (0, *start, 0), (len(x), *stop, x.shape[-1]), strides))
    stacked = jnp.stack(seen, axis=-2)  # [n, *pixels, window, channels]
    stacked = stacked.reshape(-1, len(seen), groups, x.shape[-1] // groups)
    return jnp.moveaxis(stacked, 2, 0).reshape(groups, len(stacked), -1)
