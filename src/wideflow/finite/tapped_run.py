"""A function run from its jaxpr with a zero, a tap, added to each product with a weight.

The cotangents of taps are those of the products.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.extend import core
from jax.extend.core import primitives

from .patches import patches
from .scan_parts import scan_parts
from .sites import CALLS, REORDERINGS, Path, Site, Survey, inner_jaxpr


def run(closed: Any, found: Survey, taps: dict[Path, Array], args: list[Any]) -> tuple[list[Array], dict[Path, Array]]:
    """The function's outputs with the taps added, and the inputs `[*scans, g, m, c]` of the tapped products.

    `closed`: the jaxpr that was surveyed; `taps`: zeros of the shape `Site.tap()` for the sites that are wanted. Inputs
    are multiplied by the numbers that the weight was multiplied by on its way.
    """
    return _Run(found).level(closed.jaxpr, closed.consts, args, taps, {}, ())


@dataclass(frozen=True)
class _Run:
    found: Survey

    def level(
        self, jaxpr: core.Jaxpr, consts: Any, args: Any, taps: dict, scales: dict, path: Path
    ) -> tuple[list[Array], dict[Path, Array]]:
        """One level; `scales`: the numbers that held leaves are multiplied by; 1 where there is none, or None."""
        scales = dict(scales)
        values = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *args), strict=True))
        read = lambda v: v.val if isinstance(v, core.Literal) else values[v]  # noqa: E731
        seen: dict[Path, Array] = {}
        for n, eqn in enumerate(jaxpr.eqns):
            at, operands = (*path, n), [read(v) for v in eqn.invars]
            inside = {p: tap for p, tap in taps.items() if p[: len(at)] == at}
            if at in inside:
                site, out = self.found.sites[at], _bind(jaxpr, eqn, operands)[0]
                outs = [_tapped(eqn, site, operands, out, inside[at])]
                seen[at] = _inputs(eqn, site, operands, scales.get(eqn.invars[site.weight]))
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
        inner, whole = inner_jaxpr(eqn), eqn.params[CALLS[eqn.primitive]]
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


def _tapped(eqn: Any, site: Site, operands: list, out: Array, tap: Array) -> Array:
    """The product plus its tap `[g, m, k]`."""
    if site.table:
        return _read(eqn, operands, out, tap)
    if eqn.primitive is primitives.dot_general_p:
        if site.weight == 0:
            tap = tap.swapaxes(1, 2)
        return out + tap.reshape(out.shape)
    spec = eqn.params["dimension_numbers"].out_spec  # where batch, channels and pixels are
    outer = [out.shape[i] for i in (spec[0], *spec[2:])]
    tap = jnp.moveaxis(tap, 0, 1).reshape(*outer, -1)  # [n, *pixels, g k]
    return out + jnp.moveaxis(tap, range(tap.ndim), (spec[0], *spec[2:], spec[1]))


def _read(eqn: Any, operands: list, out: Array, tap: Array) -> Array:
    """Rows of a table plus their tap `[1, m, k]`; what is read where there is no such row does not depend on it."""
    rows, size, how = _rows(eqn, operands), len(operands[0]), eqn.params["dimension_numbers"]
    entries = [n for i, n in enumerate(eqn.params["slice_sizes"]) if i not in how.collapsed_slice_dims]
    known = ((rows >= 0) & (rows < size)).reshape(*rows.shape, *[1] * len(entries))
    tap = jnp.where(known, tap.reshape(*rows.shape, *entries), jnp.zeros((), tap.dtype))
    return out + jnp.moveaxis(tap, range(rows.ndim, tap.ndim), how.offset_dims)


def _rows(eqn: Any, operands: list) -> Array:
    """The numbers of the rows that are read."""
    table, indices = operands
    rows = indices[..., eqn.params["dimension_numbers"].start_index_map.index(0)]
    return jnp.clip(rows, 0, len(table) - 1) if eqn.params["mode"] == jax.lax.GatherScatterMode.CLIP else rows


def _inputs(eqn: Any, site: Site, operands: list, scale: Array | None) -> Array:
    """What the weight is multiplied by, `[g, m, c]`, times `scale`."""
    if site.table:
        return _rows(eqn, operands).reshape(1, -1, 1)
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
    before = scales.get(eqn.invars[operand])
    if eqn.primitive in REORDERINGS:
        return before
    number = jnp.ravel(operands[1 - operand])[0]
    number = number if eqn.primitive is primitives.mul_p else 1 / number
    return number if before is None else before * number
