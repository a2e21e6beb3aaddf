"""Where the parameters of a function meet their inputs: found in its jaxpr, and tapped there.

A weight that is used once, in a matrix product or a convolution with inputs h, has the gradient Σ_m h_m δ_mᵀ, where δ
is the cotangent of the product's output and m runs over all places that share the weight (pixels, tokens, steps of a
scan). Inner products of such gradients follow from h and δ; the gradient itself is not needed. `survey` finds these
places, and `run` evaluates the function with a zero (a tap) added to each product; the cotangents of taps are the δ.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax import Array
from jax.extend import core
from jax.extend.core import primitives

from .patches import patches
from .scan_parts import scan_parts

Path = tuple[int, ...]  # positions of equations, outermost first
Axis = Literal["shared", "stacked"]  # a scan whose steps share the weight, or have one each
Scans = tuple[tuple[Axis, int], ...]
Held = tuple[int, Scans]  # a leaf, and the scans that it came through

_REORDERINGS = (primitives.reshape_p, primitives.transpose_p, primitives.squeeze_p, primitives.copy_p, primitives.neg_p)
_CALLS = {primitives.jit_p: "jaxpr", primitives.closed_call_p: "call_jaxpr", primitives.remat_p: "jaxpr"}


@dataclass(frozen=True)
class Site:
    """One product with a weight: `g` independent groups of `m` places that map `c` inputs to `k` outputs.

    `scans`: the loops around it, outermost first, and whether their steps share the weight; `weight`: its operand.
    """

    leaf: int
    weight: int
    g: int
    m: int
    c: int
    k: int
    scans: Scans

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """(g, m, c, k) with the steps of scans counted in: shared ones are places, others groups."""
        length = {kind: math.prod(n for axis, n in self.scans if axis == kind) for kind in ("shared", "stacked")}
        return self.g * length["stacked"], self.m * length["shared"], self.c, self.k

    def tap(self) -> tuple[int, ...]:
        """The shape of the tap, `[*scans, g, m, k]`."""
        return (*(n for _, n in self.scans), self.g, self.m, self.k)

    def canonical(self, values: Array) -> Array:
        """`[*scans, g, m, …]` as `[g, m, …]`, the steps of scans among the groups or the places."""
        count = len(self.scans)
        order = [i for i, (axis, _) in enumerate(self.scans) if axis == "stacked"] + [count]
        order += [i for i, (axis, _) in enumerate(self.scans) if axis == "shared"] + [count + 1, count + 2]
        g, m, *_ = self.sizes
        return values.transpose(order).reshape(g, m, values.shape[-1])


@dataclass(frozen=True)
class Survey:
    """What was found: the sites by path, the reordered or rescaled copies of weights (path: operand), and what was not.

    `lost`: leaves that are used in another way, or more than once, and where; their gradients have to be formed. Leaves
    that are in neither do not matter to the function.
    """

    sites: dict[Path, Site]
    copies: dict[Path, int]
    lost: dict[int, str]


def survey(jaxpr: core.Jaxpr, leaves: int) -> Survey:
    """The sites of the first `leaves` arguments of a jaxpr. Cost: one pass through its equations."""
    found = _Search({}, {}, {})
    found.walk(jaxpr, {v: (leaf, ()) for leaf, v in enumerate(jaxpr.invars[:leaves])}, ())
    of_leaf: dict[int, list[Path]] = {}
    for path, site in found.sites.items():
        of_leaf.setdefault(site.leaf, []).append(path)
    for leaf, paths in of_leaf.items():
        if len(paths) > 1:
            found.lost.setdefault(leaf, f"used {len(paths)} times")
    sites = {path: site for path, site in found.sites.items() if site.leaf not in found.lost}
    return Survey(sites, found.copies, found.lost)


@dataclass
class _Search:
    sites: dict[Path, Site]
    copies: dict[Path, int]
    lost: dict[int, str]

    def walk(self, jaxpr: core.Jaxpr, held: dict[Any, Held], path: Path) -> None:
        """One level of the jaxpr; `held`: variables that hold a leaf's entries, reordered or times a number."""
        uniform = set()  # arrays whose entries are one number
        for n, eqn in enumerate(jaxpr.eqns):
            if eqn.primitive is primitives.broadcast_in_dim_p and _size(eqn.invars[0]) == 1:
                uniform.add(eqn.outvars[0])
            mine = {i: held[v] for i, v in enumerate(eqn.invars) if isinstance(v, core.Var) and v in held}
            if mine:
                self._use(eqn, mine, held, uniform, (*path, n))
        self._lose([held[v] for v in jaxpr.outvars if isinstance(v, core.Var) and v in held], "an output of a part")

    def _use(self, eqn: Any, mine: dict[int, Held], held: dict[Any, Held], uniform: set, path: Path) -> None:
        operand, one = next(iter(mine.items()))
        if eqn.primitive in _CALLS:
            inner = _inner(eqn)
            self.walk(inner, {inner.invars[i]: some for i, some in mine.items()}, path)
        elif eqn.primitive is primitives.scan_p:
            self._scan(eqn, mine, path)
        elif len(mine) == 1 and (site := _site(eqn, operand, *one)):
            self.sites[path] = site
        elif len(mine) == 1 and _is_copy(eqn, operand, uniform):
            self.copies[path] = operand
            held[eqn.outvars[0]] = one
        else:
            self._lose(mine.values(), f"used in {eqn.primitive.name}")

    def _scan(self, eqn: Any, mine: dict[int, Held], path: Path) -> None:
        constants, carried = scan_parts(eqn)
        body, inside = eqn.params["jaxpr"].jaxpr, {}
        for i, (leaf, scans) in mine.items():
            kind: Axis = "shared" if i < constants else "stacked"
            if constants <= i < carried:
                self._lose([(leaf, scans)], "carried through a scan")
            else:
                inside[body.invars[i]] = leaf, (*scans, (kind, eqn.params["length"]))
        self.walk(body, inside, path)

    def _lose(self, held: Iterable[Held], reason: str) -> None:
        for leaf, _ in held:
            self.lost.setdefault(leaf, reason)


def _size(v: Any) -> int:
    return math.prod(v.aval.shape)


def _inner(eqn: Any) -> core.Jaxpr:
    inner = eqn.params[_CALLS[eqn.primitive]]
    return inner.jaxpr if isinstance(inner, core.ClosedJaxpr) else inner


def _is_copy(eqn: Any, operand: int, uniform: set) -> bool:
    """Whether the result holds the operand's entries in some order, times one number."""
    if eqn.primitive in _REORDERINGS:
        return True
    if eqn.primitive is primitives.mul_p or (eqn.primitive is primitives.div_p and operand == 0):
        other = eqn.invars[1 - operand]
        return _size(other) == 1 or (isinstance(other, core.Var) and other in uniform)
    return False


def _site(eqn: Any, weight: int, leaf: int, scans: Scans) -> Site | None:
    """The site of this equation, or None where it is no product of real numbers that `run` can tap."""
    if any(not jnp.issubdtype(v.aval.dtype, jnp.floating) for v in (*eqn.invars, *eqn.outvars)):
        return None
    if len(eqn.invars) != 2:
        return None
    shape: tuple[int, ...] = eqn.invars[weight].aval.shape
    size = math.prod(shape)
    if eqn.primitive is primitives.dot_general_p:
        contract, batch = eqn.params["dimension_numbers"]
        g, c = (math.prod(shape[i] for i in dims[weight]) for dims in (batch, contract))
        m = _size(eqn.invars[1 - weight]) // max(g * c, 1)
        return Site(leaf, weight, g, m, c, size // max(g * c, 1), scans)
    if eqn.primitive is primitives.conv_general_dilated_p and weight == 1 and eqn.params["batch_group_count"] == 1:
        g, out = eqn.params["feature_group_count"], eqn.outvars[0].aval.shape
        channels = shape[eqn.params["dimension_numbers"].rhs_spec[0]]
        m = math.prod(out) // max(channels, 1)
        return Site(leaf, weight, g, m, size // max(channels, 1), channels // g, scans)
    return None


def run(
    closed: Any, found: Survey, taps: dict[Path, Array], leaves: int, args: list[Any]
) -> tuple[list[Array], dict[Path, Array]]:
    """The function's outputs with the taps added, and the inputs `[*scans, g, m, c]` of the tapped products.

    `closed`: the jaxpr that was surveyed; `taps`: zeros of the shape `Site.tap()` for the sites that are wanted. Inputs
    are multiplied by the numbers that the weight was multiplied by on its way.
    """
    scales = dict.fromkeys(closed.jaxpr.invars[:leaves], None)
    return _Run(found).level(closed.jaxpr, closed.consts, args, taps, scales, ())


@dataclass(frozen=True)
class _Run:
    found: Survey

    def level(
        self, jaxpr: core.Jaxpr, consts: Any, args: Any, taps: dict, scales: dict, path: Path
    ) -> tuple[list[Array], dict[Path, Array]]:
        """One level; `scales`: the numbers that held leaves are multiplied by, None for 1."""
        scales = dict(scales)
        values = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *args), strict=True))
        read = lambda v: v.val if isinstance(v, core.Literal) else values[v]  # noqa: E731
        seen: dict[Path, Array] = {}
        for n, eqn in enumerate(jaxpr.eqns):
            at, operands = (*path, n), [read(v) for v in eqn.invars]
            inside = {p: tap for p, tap in taps.items() if p[: len(at)] == at}
            if at in inside:
                site, out = self.found.sites[at], _bind(jaxpr, eqn, operands)[0]
                outs = [_tapped(eqn, site, out, inside[at])]
                seen[at] = _inputs(eqn, site, operands, scales[eqn.invars[site.weight]])
            elif inside:
                outs, more = self._enter(eqn, operands, inside, scales, at)
                seen |= more
            else:
                outs = _bind(jaxpr, eqn, operands)
            if at in self.found.copies:
                scales[eqn.outvars[0]] = _rescaled(eqn, self.found.copies[at], operands, scales)
            values.update(zip(eqn.outvars, outs, strict=True))
        return [read(v) for v in jaxpr.outvars], seen

    def _enter(self, eqn: Any, operands: list, taps: dict, scales: dict, path: Path) -> tuple[list, dict]:
        if eqn.primitive is primitives.scan_p:
            return self._scan(eqn, operands, taps, scales, path)
        inner, whole = _inner(eqn), eqn.params[_CALLS[eqn.primitive]]
        consts = whole.consts if isinstance(whole, core.ClosedJaxpr) else ()
        known = self._inner_scales(eqn, inner, scales)
        call = lambda args, taps: self.level(inner, consts, args, taps, known, path)  # noqa: E731
        if eqn.primitive is primitives.remat_p:
            call = jax.checkpoint(call, policy=eqn.params["policy"], prevent_cse=eqn.params["prevent_cse"])
        return call(operands, taps)

    def _scan(self, eqn: Any, operands: list, taps: dict, scales: dict, path: Path) -> tuple[list, dict]:
        constants, carried = scan_parts(eqn)
        body = eqn.params["jaxpr"]
        known = self._inner_scales(eqn, body.jaxpr, scales)

        def step(carry: list, slices: tuple) -> tuple[list, tuple]:
            xs, now = slices
            args = [*operands[:constants], *carry, *xs]
            outs, seen = self.level(body.jaxpr, body.consts, args, now, known, path)
            return outs[: carried - constants], (outs[carried - constants :], seen)

        options = {name: eqn.params[name] for name in ("length", "reverse", "unroll")}
        carry, (ys, seen) = jax.lax.scan(step, operands[constants:carried], (operands[carried:], taps), **options)
        return [*carry, *ys], seen

    @staticmethod
    def _inner_scales(eqn: Any, inner: core.Jaxpr, scales: dict) -> dict:
        pairs = zip(eqn.invars, inner.invars, strict=True)
        return {new: scales[old] for old, new in pairs if isinstance(old, core.Var) and old in scales}


def _bind(jaxpr: core.Jaxpr, eqn: Any, operands: list) -> list:
    """What one equation computes, by a jaxpr of its own: how primitives are bound differs between versions of JAX."""
    given = {v: value for v, value in zip(eqn.invars, operands, strict=True) if isinstance(v, core.Var)}
    about = jaxpr.debug_info._replace(arg_names=None, result_paths=None)
    alone = core.Jaxpr((), list(given), eqn.outvars, [eqn], eqn.effects, about)
    return list(core.jaxpr_as_fun(core.ClosedJaxpr(alone, ()))(*given.values()))


def _tapped(eqn: Any, site: Site, out: Array, tap: Array) -> Array:
    """The product plus its tap `[g, m, k]`."""
    if eqn.primitive is primitives.dot_general_p:
        if site.weight == 0:
            tap = tap.swapaxes(1, 2)
        return out + tap.reshape(out.shape)
    spec = eqn.params["dimension_numbers"].out_spec  # where batch, channels and pixels are
    outer = [out.shape[i] for i in (spec[0], *spec[2:])]
    tap = jnp.moveaxis(tap, 0, 1).reshape(*outer, -1)  # [n, *pixels, g k]
    return out + jnp.moveaxis(tap, range(tap.ndim), (spec[0], *spec[2:], spec[1]))


def _inputs(eqn: Any, site: Site, operands: list, scale: Array | None) -> Array:
    """What the weight is multiplied by, `[g, m, c]`, times `scale`."""
    h = operands[1 - site.weight]
    if eqn.primitive is primitives.dot_general_p:
        contract, batch = (dims[1 - site.weight] for dims in eqn.params["dimension_numbers"])
        free = [i for i in range(h.ndim) if i not in (*contract, *batch)]
        h = h.transpose(*batch, *free, *contract)
    else:
        h = patches(h, operands[1].shape, eqn.params)
    h = h.reshape(site.g, site.m, site.c)
    return h if scale is None else h * scale.astype(h.dtype)


def _rescaled(eqn: Any, operand: int, operands: list, scales: dict) -> Array | None:
    """The number that a copy of a leaf was multiplied by; signs are dropped, since products of gradients lose them."""
    before = scales[eqn.invars[operand]]
    if eqn.primitive in _REORDERINGS:
        return before
    number = jnp.ravel(operands[1 - operand])[0]
    number = number if eqn.primitive is primitives.mul_p else 1 / number
    return number if before is None else before * number
