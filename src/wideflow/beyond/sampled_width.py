"""What finite width does to any architecture at initialisation, measured on drawn networks."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from ..finite import draw_networks, network_ntk
from ..kernels import Kernel
from ..nn import Dense, Layer, Serial

_LIKE_INFINITE = ("ntk", "standard")  # parameterizations whose outputs have the infinite network's variance


@dataclass(frozen=True, eq=False)
class SampledKernels:
    """Kernels of single inputs in S drawn networks, and at infinite width where that is known.

    `ntk [S, n]`: Θ̂(x, x). `variance [S, n]`: K̂(x, x) = w²/N |h|² + b², the variance of outputs given the features h of
    the last layer; None where the network does not end in a Dense layer. `infinite_ntk`, `infinite_variance` `[n]`:
    Θ and K; None where the network has no infinite limit.
    """

    ntk: Float[np.ndarray, "S n"]
    variance: Float[np.ndarray, "S n"] | None
    infinite_ntk: Float[np.ndarray, " n"] | None
    infinite_variance: Float[np.ndarray, " n"] | None

    @staticmethod
    def draw(net: Layer, x: Any, networks: int, seed: int = 0) -> "SampledKernels":
        """Draw networks for inputs `x [n, …]`. Cost: an NTK of each network and input."""
        x = jnp.asarray(x)
        params = draw_networks(net, x[:1], jax.random.key(seed), jnp.arange(networks, dtype=jnp.uint32))
        drawn = [_kernels(net, jax.tree.map(lambda leaf, s=s: leaf[s], params), x) for s in range(networks)]
        ntk, variance = (np.array([np.asarray(one[i], np.float64) for one in drawn]) for i in (0, 1))
        known, infinite = variance.shape == ntk.shape, _infinite(net, x)
        return SampledKernels(ntk, variance if known else None, *infinite)

    @staticmethod
    def shift(sampled: Float[np.ndarray, "S n"], infinite: Float[np.ndarray, " n"]) -> tuple[float, float]:
        """The mean over networks over the infinite one, less 1, and its standard error: the largest of inputs."""
        shifts = sampled.mean(axis=0) / infinite - 1
        errors = sampled.std(axis=0, ddof=1) / len(sampled) ** 0.5 / infinite
        worst = int(np.argmax(np.abs(shifts)))
        return float(shifts[worst]), float(errors[worst])

    @staticmethod
    def spread(sampled: Float[np.ndarray, "S n"]) -> tuple[float, float]:
        """The standard deviation over networks relative to the mean, and its jackknife error: the largest of inputs."""
        S, total, squares = len(sampled), sampled.sum(axis=0), np.sum(sampled**2, axis=0)
        whole = np.sqrt(np.maximum(squares / S - (total / S) ** 2, 0) * S / (S - 1)) / (total / S)
        means = (total - sampled) / (S - 1)
        left = np.sqrt(np.maximum((squares - sampled**2) / (S - 1) - means**2, 0) * (S - 1) / (S - 2)) / means
        errors = np.sqrt((S - 1) * left.var(axis=0))
        worst = int(np.argmax(whole))
        return float(whole[worst]), float(errors[worst])


def _infinite(net: Layer, x: Array) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Θ and K of single vectors of outputs; None where the network has no infinite limit, or several pixels."""
    try:
        found = Kernel(net).diag(x)
    except (ValueError, TypeError, NotImplementedError):
        return None, None
    ntk, nngp = np.asarray(found.ntk, np.float64), np.asarray(found.nngp, np.float64)
    return (ntk, nngp) if ntk.ndim == 1 and (ntk > 0).all() else (None, None)


@jax.jit
def _kernels(net: Layer, params: Any, x: Array) -> tuple[Array, Array]:
    """Θ̂(x, x) and K̂(x, x) `[n]` of one network; of no shape `[n]` where K̂ is not known."""
    one_by_one = jax.lax.map(lambda row: network_ntk(net, params, row[None])[0, 0], x)
    split = _readout(net, params)
    if split is None:
        return one_by_one, jnp.zeros(())
    body, p, last = split
    h = body.apply(p, x)
    bias = 0.0 if last.b is None else last.b
    return one_by_one, jnp.mean(h**2, axis=-1) * last.w**2 + bias**2


def _readout(net: Layer, params: Any) -> tuple[Layer, Any, Dense] | None:
    """All layers but the last, their parameters, and the last, if it is a Dense layer of a known variance."""
    if not isinstance(net, Serial) or len(net.layers) < 2:
        return None
    *first, last = net.layers
    if isinstance(last, Serial):
        deeper = _readout(last, params[-1])
        if deeper is None:
            return None
        rest, p, dense = deeper
        return Serial(*first, rest), (*params[:-1], p), dense
    if not isinstance(last, Dense) or last.parameterization not in _LIKE_INFINITE:
        return None
    return Serial(*first), params[:-1], last
