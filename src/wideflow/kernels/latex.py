"""The recursion behind a kernel as LaTeX: the equations of every layer with its hyperparameters."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import nn
from ..nn.scaling import own_kernel
from .recursion import Recursion, both, equations, is_one, name_of, nngp, ntk, number, square


def latex(net: nn.Layer) -> str:
    """The recursion of both kernels of a network, one equation a line, in an `aligned` environment.

    K⁽ⁱ⁾ and Θ⁽ⁱ⁾ are what leaves step i, in the notation of docs/notation.md: E_K[φ φ'] is the expectation over
    Gaussians of covariance K, p and p' are pixels, o offsets in a window, ⟨ ⟩ a mean. Equations without pixels hold at
    every pair of them. Layers that are not known appear as a map (K, Θ) ↦ (K, Θ) of their name.
    """
    recursion = Recursion()
    if not isinstance(_first(net), nn.Embedding):
        recursion.line("K^{(0)}", r"x \cdot x' / d")
        recursion.line(r"\Theta^{(0)}", "0")
    recursion.write(net, 0)
    body = " \\\\\n".join(f"{left} &= {right}" for left, right in recursion.lines)
    return f"\\begin{{aligned}}\n{body}\n\\end{{aligned}}"


def _first(net: nn.Layer) -> nn.Layer:
    """The layer that sees the inputs."""
    if isinstance(net, nn.GraphNetwork | nn.MaskedNetwork):
        return _first(net.net)
    return _first(net.layers[0]) if isinstance(net, nn.Serial) and net.layers else net


# Combinators


@equations.register(nn.Serial)
def _(layer: nn.Serial, recursion: Recursion, i: int) -> int:
    for part in layer.layers:
        i = recursion.write(part, i)
    return i


@equations.register(nn.GraphNetwork)
@equations.register(nn.MaskedNetwork)
def _(layer: nn.GraphNetwork | nn.MaskedNetwork, recursion: Recursion, i: int) -> int:
    return recursion.write(layer.net, i)


@equations.register(nn.Repeat)
def _(layer: nn.Repeat, recursion: Recursion, i: int) -> int:
    j = recursion.write(layer.layer, i)
    recursion.steps += 1
    end = recursion.steps
    recursion.line("F(" + both(i) + ")", f"({both(j)})")
    recursion.line(f"({both(end)})", rf"F^{{{layer.times}}}({both(i)})")
    return end


@equations.register(nn.Residual)
def _(layer: nn.Residual, recursion: Recursion, i: int) -> int:
    return _total(recursion, [i, recursion.write(layer.branch, i)])


@equations.register(nn.Sum)
def _(layer: nn.Sum, recursion: Recursion, i: int) -> int:
    return _total(recursion, [recursion.write(branch, i) for branch in layer.branches])


def _total(recursion: Recursion, parts: list[int]) -> int:
    return recursion.step(" + ".join(map(nngp, parts)), " + ".join(map(ntk, parts)))


@equations.register(nn.Product)
def _(layer: nn.Product, recursion: Recursion, i: int) -> int:
    parts = [recursion.write(branch, i) for branch in layer.branches]
    terms = [r" \, ".join(ntk(one) if one == part else nngp(one) for one in parts) for part in parts]
    return recursion.step(r" \, ".join(map(nngp, parts)), " + ".join(terms))


@equations.register(nn.Concat)
def _(layer: nn.Concat, recursion: Recursion, i: int) -> int:
    parts, channels = [recursion.write(branch, i) for branch in layer.branches], layer.widths()
    share = [rf"\frac{{{n}}}{{{sum(channels)}}}" for n in channels]
    mean = lambda kernel: " + ".join(f"{s} {kernel(part)}" for s, part in zip(share, parts, strict=True))  # noqa: E731
    return recursion.step(mean(nngp), mean(ntk))


# Layers with weights


@equations.register(nn.Dense)
def _(layer: nn.Dense, recursion: Recursion, i: int) -> int:
    return _weights(layer, recursion, i, lambda kernel: kernel)


@equations.register(nn.Conv)
def _(layer: nn.Conv, recursion: Recursion, i: int) -> int:
    mean = lambda kernel: rf"\langle {kernel}_{{{_windows(layer, 'o', 'o')}}} \rangle_{{o \in {_sizes(layer)}}}"  # noqa: E731
    return _weights(layer, recursion, i, mean)


@equations.register(nn.ConvLocal)
def _(layer: nn.ConvLocal, recursion: Recursion, i: int) -> int:
    subscript = _windows(layer, "o", "o")
    mean = lambda kernel: rf"\delta_{{pp'}} \langle {kernel}_{{{subscript}}} \rangle_{{o \in {_sizes(layer)}}}"  # noqa: E731
    return _weights(layer, recursion, i, mean, r"\delta_{pp'} ")


def _weights(
    layer: nn.Dense | nn.Conv, recursion: Recursion, i: int, mean: Callable[[str], str], bias: str = ""
) -> int:
    w, b = square(layer.w, "w"), None if layer.b is None else bias + square(layer.b, "b")
    below, j = f"{w} {mean(ntk(i))}", recursion.steps + 1
    K = f"{w} {mean(nngp(i))}" + ("" if b is None else f" + {b}")
    if isinstance(layer.parameterization, nn.Scaling):
        weights, biases = (number(v, "r") for v in own_kernel(layer, 1, np.float32) or (1, 1))
        window = "" if isinstance(layer, nn.Dense) else r" \, |o|"
        own = f"{weights}{window} {mean(nngp(i))}" + ("" if b is None else f" + {bias}{biases}")
    elif is_one(layer.lr_w) and (b is None or is_one(layer.lr_b)):
        own = nngp(j)
    else:
        own = rf"{number(layer.lr_w, 'r')} \cdot {w} {mean(nngp(i))}"
        own += "" if b is None else rf" + {number(layer.lr_b, 'r')} \cdot {b}"
    return recursion.step(K, f"{own} + {below}")


@equations.register(nn.Embedding)
def _(layer: nn.Embedding, recursion: Recursion, i: int) -> int:
    w, lr = square(layer.w, "w"), "" if is_one(layer.lr_w) else rf"{number(layer.lr_w, 'r')} \cdot "
    own = lr + w
    if isinstance(layer.parameterization, nn.Scaling):
        own = number((own_kernel(layer.as_dense, 1, np.float32) or (1,))[0], "r")
    return recursion.step(rf"{w} \, \delta_{{tt'}}", rf"{own} \, \delta_{{tt'}}")


@equations.register(nn.SelfAttention)
def _(layer: nn.SelfAttention, recursion: Recursion, i: int) -> int:
    seen = i if layer.positions is None else recursion.write(layer.positions, i)
    strength = number(layer.w_query, "w_Q") + r" \cdot " + number(layer.w_key, "w_K")
    w = square(layer.w, "w") + r" \cdot " + square(layer.w_value, "w_V")
    b = "" if layer.b is None else " + " + square(layer.b, "b")
    lr_b = "" if layer.b is None else rf" + {number(layer.lr_b, 'r')} \cdot {square(layer.b, 'b')}"
    own = f"({number(layer.lr_w, 'r')} + {number(layer.lr_value, 'r_V')}) \\cdot {w}"
    if isinstance(layer.parameterization, tuple):
        weights, biases, _ = _own_of_attention(layer)
        own, lr_b = number(weights, "r"), "" if layer.b is None else f" + {number(biases, 'r')}"
    zeta = r"\mathrm{softmax}" if layer.scores is None else name_of(layer.scores)
    if layer.scale == "1/d":
        mean = lambda kernel: f"P {kernel} P'^T"  # noqa: E731
        recursion.line("P", rf"{zeta}({strength} \, {nngp(seen)}(x, x))")
        return recursion.step(f"{w} \\, {mean(nngp(i))}{b}", rf"{own} \, {mean(nngp(i))}{lr_b} + {w} \, {mean(ntk(i))}")
    S, T, rates = nngp(seen), ntk(seen), f"({number(layer.lr_query, 'r_Q')} + {number(layer.lr_key, 'r_K')})"
    value, slope = (rf"\mathrm{{E}}[{f}(G_{{pq}}) {f}(G'_{{p'q'}})]" for f in (r"\zeta", r"\dot{\zeta}"))
    recursion.line(r"\zeta", zeta)
    recursion.line(r"\mathrm{E}[G_{pq} G'_{p'q'}]", rf"({strength})^2 {S}_{{pp'}} {S}_{{qq'}}")
    through = rf"({strength})^2 {rates}"
    if isinstance(layer.parameterization, tuple):
        through = number(_own_of_attention(layer)[2], "r")
    scores = (
        rf"({through} {S}_{{pp'}} {S}_{{qq'}} + ({strength})^2 ({T}_{{pp'}} {S}_{{qq'}} + {S}_{{pp'}} {T}_{{qq'}}))"
    )
    mean = rf"\sum_{{q, q'}} {value} {nngp(i)}_{{qq'}}"
    below = rf"{w} \sum_{{q, q'}} ({value} {ntk(i)}_{{qq'}} + {slope} {nngp(i)}_{{qq'}} {scores})"
    return recursion.step(f"{w} {mean}{b}", rf"{own} {mean}{lr_b} + {below}")


def _own_of_attention(layer: nn.SelfAttention) -> tuple[Any, Any, Any]:
    """What its own weights put into the NTK: outputs and values, biases, queries and keys."""
    outputs = own_kernel(layer.matrix("O"), 1, np.float32) or (1, 1)
    values, scores = layer.own(np.dtype(np.float32))
    return outputs[0] * np.asarray(layer.w_value) ** 2 + np.asarray(layer.w) ** 2 * values, outputs[1], scores


@equations.register(nn.Positions)
def _(layer: nn.Positions, recursion: Recursion, i: int) -> int:
    R = r"\delta_{pp'}" if layer.length is None else rf"e^{{-|p-p'|/{number(layer.length, 'l')}}}"
    w = square(layer.w, "w")
    own = w if is_one(layer.lr_w) else rf"{number(layer.lr_w, 'r')} \cdot {w}"
    if isinstance(layer.parameterization, nn.Scaling):
        own = number((own_kernel(layer.as_dense(layer.features or 1), 1, np.float32) or (1,))[0], "r")
    if layer.channels is None:
        return recursion.step(f"{nngp(i)} + {w} {R}", f"{ntk(i)} + {own} {R}")
    n, m = layer.channels
    mean = lambda kernel, square: rf"({n} \, {kernel} + {m} \cdot {square} {R}) / {n + m}"  # noqa: E731
    return recursion.step(mean(nngp(i), w), mean(ntk(i), own))


# Nonlinearities and what acts at every pixel alone


@equations.register(nn.Activation)
def _(layer: nn.Activation, recursion: Recursion, i: int) -> int:
    over = rf"\mathrm{{E}}_{{{nngp(i)}}}"
    j = recursion.step(rf"{over}[\phi \, \phi']", rf"{ntk(i)} \, {over}[\dot{{\phi}} \, \dot{{\phi}}']")
    recursion.line(r"\phi", name_of(layer))
    return j


@equations.register(nn.KernelMap)
def _(layer: nn.KernelMap, recursion: Recursion, i: int) -> int:
    kappa = rf"\kappa({nngp(i)})"
    j = recursion.step(kappa, rf"{ntk(i)} \, \partial \kappa / \partial {nngp(i)}")
    recursion.line(r"\kappa", name_of(layer))
    return j


@equations.register(nn.Identity)
def _(layer: nn.Identity, recursion: Recursion, i: int) -> int:
    return i


@equations.register(nn.RMSNorm)
@equations.register(nn.LayerNorm)
def _(layer: nn.RMSNorm, recursion: Recursion, i: int) -> int:
    epsilon = number(layer.epsilon, r"\epsilon")
    own = [rf"{nngp(i)}({x}, {x})" for x in ("x", "x'")]
    if layer.over == "all":
        own = [rf"\langle {each}_{{pp}} \rangle_p" for each in own]
    scale = rf"\sqrt{{({own[0]} + {epsilon}) ({own[1]} + {epsilon})}}"
    return recursion.linear(i, lambda kernel: f"{kernel} / {scale}")


@equations.register(nn.Dropout)
def _(layer: nn.Dropout, recursion: Recursion, i: int) -> int:
    keep = number(1 - np.asarray(layer.rate), "k")
    return recursion.linear(i, lambda kernel: rf"{kernel} \, {keep}^{{-\delta_{{xx'}} \delta_{{pp'}}}}")


# Sums over pixels


@equations.register(nn.SumPool)
def _(layer: nn.SumPool, recursion: Recursion, i: int) -> int:
    subscript, size = _windows(layer, "o", "o'"), _sizes(layer)
    if not isinstance(layer, nn.AvgPool):
        return recursion.linear(i, lambda kernel: rf"\sum_{{o, o' \in {size}}} {kernel}_{{{subscript}}}")
    return recursion.linear(i, lambda kernel: rf"\langle {kernel}_{{{subscript}}} \rangle_{{o, o' \in {size}}}")


@equations.register(nn.GlobalSumPool)
def _(layer: nn.GlobalSumPool, recursion: Recursion, i: int) -> int:
    return recursion.linear(i, lambda kernel: rf"\sum_{{p, p'}} {kernel}_{{pp'}}")


@equations.register(nn.GlobalAvgPool)
def _(layer: nn.GlobalAvgPool, recursion: Recursion, i: int) -> int:
    return recursion.linear(i, lambda kernel: rf"\langle {kernel}_{{pp'}} \rangle_{{p, p'}}")


@equations.register(nn.Flatten)
def _(layer: nn.Flatten, recursion: Recursion, i: int) -> int:
    return recursion.linear(i, lambda kernel: rf"\langle {kernel}_{{pp}} \rangle_{{p}}")


@equations.register(nn.LinearMap)
def _(layer: nn.LinearMap, recursion: Recursion, i: int) -> int:
    return recursion.linear(i, lambda kernel: rf"M {kernel} M^T")


@equations.register(nn.Aggregate)
def _(layer: nn.Aggregate, recursion: Recursion, i: int) -> int:
    return recursion.linear(i, lambda kernel: rf"A {kernel} A'^T")


def _windows(layer: nn.Conv | nn.SumPool, first: str, second: str) -> str:
    """The pixels that the offsets of two windows reach: stride · p + dilation · o for both."""
    strides = layer.window if layer.stride is None else layer.stride
    stride, dilation = _factor(strides), _factor(getattr(layer, "dilation", 1))
    return f"{stride}p + {dilation}{first}, {stride}p' + {dilation}{second}"


def _factor(sizes: int | tuple[int, ...]) -> str:
    return "" if set(np.atleast_1d(sizes)) == {1} else str(sizes)


def _sizes(layer: nn.Conv | nn.SumPool) -> str:
    return r" \times ".join(map(str, np.atleast_1d(layer.window).tolist()))
