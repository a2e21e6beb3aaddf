"""Where the parameters of a function meet their inputs, found in its jaxpr.

A weight that is used once, in a matrix product or a convolution with inputs h, has the gradient Σ_m h_m δ_mᵀ, where δ
is the cotangent of the product's output and m runs over all places that share the weight (pixels, tokens, steps of a
scan). A table whose rows are read has the same with one-hot h. Inner products of such gradients follow from h and δ;
the gradient itself is not needed.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.extend import core
from jax.extend.core import primitives
from jax.lax import GatherScatterMode

from .scan_parts import scan_parts

Path = tuple[int, ...]  # positions of equations, outermost first
Axis = Literal["shared", "stacked"]  # a scan whose steps share the weight, or have one each
Scans = tuple[tuple[Axis, int], ...]

REORDERINGS = (
    *(primitives.reshape_p, primitives.transpose_p, primitives.squeeze_p, primitives.rev_p),
    *(primitives.copy_p, primitives.neg_p, primitives.convert_element_type_p),
)
CALLS = {primitives.jit_p: "jaxpr", primitives.closed_call_p: "call_jaxpr", primitives.remat_p: "jaxpr"}


class Held(NamedTuple):
    """What a variable holds: the entries of a leaf, the scans that it came through, and whether times a number."""

    leaf: int
    scans: Scans
    scaled: bool = False


@dataclass(frozen=True)
class Site:
    """One product with a weight: `g` independent groups of `m` places that map `c` inputs to `k` outputs.

    `scans`: the loops around it, outermost first, and whether their steps share the weight; `weight`: its operand.
    `table`: it is a table of which `m` rows of `k` numbers are read; the input is the number of the row.
    """

    leaf: int
    weight: int
    g: int
    m: int
    c: int
    k: int
    scans: Scans
    dtype: Any
    table: bool = False

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
    outputs = found.walk(jaxpr, {v: Held(leaf, ()) for leaf, v in enumerate(jaxpr.invars[:leaves])}, ())
    found.lose([held for held in outputs if held is not None], "an output")
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

    def walk(self, jaxpr: core.Jaxpr, held: dict[Any, Held], path: Path) -> list[Held | None]:
        """One level of the jaxpr; `held`: variables that hold a leaf's entries, reordered or times a number.

        Returns what the outputs of this level hold.
        """
        uniform = set()  # arrays whose entries are one number
        for n, eqn in enumerate(jaxpr.eqns):
            if eqn.primitive is primitives.broadcast_in_dim_p and _size(eqn.invars[0]) == 1:
                uniform.add(eqn.outvars[0])
            mine = {i: held[v] for i, v in enumerate(eqn.invars) if isinstance(v, core.Var) and v in held}
            if mine:
                self._use(eqn, mine, held, uniform, (*path, n))
        return [held.get(v) if isinstance(v, core.Var) else None for v in jaxpr.outvars]

    def _use(self, eqn: Any, mine: dict[int, Held], held: dict[Any, Held], uniform: set, path: Path) -> None:
        operand, one = next(iter(mine.items()))
        if eqn.primitive in CALLS:
            inner = inner_jaxpr(eqn)
            self._returned(eqn, self.walk(inner, {inner.invars[i]: some for i, some in mine.items()}, path), held)
        elif eqn.primitive is primitives.scan_p:
            self._returned(eqn, self._scan(eqn, mine, path), held)
        elif len(mine) == 1 and (site := _site(eqn, operand, one) or _table(eqn, operand, one)) and all(site.sizes):
            self.sites[path] = site
        elif len(mine) == 1 and _is_copy(eqn, operand, uniform):
            self.copies[path] = operand
            held[eqn.outvars[0]] = one._replace(scaled=one.scaled or eqn.primitive not in REORDERINGS)
        else:
            self.lose(mine.values(), f"used in {eqn.primitive.name}")

    def _scan(self, eqn: Any, mine: dict[int, Held], path: Path) -> list[Held | None]:
        """The body of a scan; returns what the scan's outputs hold: weights that each step returns as they came."""
        constants, carried = scan_parts(eqn)
        body, inside = eqn.params["jaxpr"].jaxpr, {}
        for i, one in mine.items():
            kept = constants <= i < carried and body.outvars[i - constants] is body.invars[i]
            kind: Axis = "shared" if i < constants or kept else "stacked"
            if constants <= i < carried and not kept:
                self.lose([one], "carried through a scan")
            else:
                inside[body.invars[i]] = one._replace(scans=(*one.scans, (kind, eqn.params["length"])))
        outputs = self.walk(body, inside, path)
        for i, one in enumerate(outputs):
            if one is not None:
                kind, whole = one.scans[-1][0], one._replace(scans=one.scans[:-1])
                carries = i < carried - constants
                kept = body.outvars[i] is body.invars[constants + i] if carries else kind == "stacked"
                outputs[i] = whole if kept else None
                if outputs[i] is None:
                    self.lose([one], "an output of a scan")
        return outputs

    def _returned(self, eqn: Any, outputs: list[Held | None], held: dict[Any, Held]) -> None:
        """Weights that a part returns as they came, as Flax's transformations do, are held by what it returns."""
        for v, one in zip(eqn.outvars, outputs, strict=True):
            if one is not None and one.scaled:
                self.lose([one], "an output of a part, times a number")
            elif one is not None:
                held[v] = one

    def lose(self, held: Iterable[Held], reason: str) -> None:
        """Note why the gradients of these leaves have to be formed."""
        for one in held:
            self.lost.setdefault(one.leaf, reason)


def _size(v: Any) -> int:
    return math.prod(v.aval.shape)


def inner_jaxpr(eqn: Any) -> core.Jaxpr:
    """The jaxpr that one of the `CALLS` calls."""
    inner = eqn.params[CALLS[eqn.primitive]]
    return inner.jaxpr if isinstance(inner, core.ClosedJaxpr) else inner


def _is_copy(eqn: Any, operand: int, uniform: set) -> bool:
    """Whether the result holds the operand's entries in some order, times one number."""
    if eqn.primitive in REORDERINGS:
        return jnp.issubdtype(eqn.outvars[0].aval.dtype, jnp.floating)
    if eqn.primitive is primitives.mul_p or (eqn.primitive is primitives.div_p and operand == 0):
        other = eqn.invars[1 - operand]
        return _size(other) == 1 or (isinstance(other, core.Var) and other in uniform)
    return False


def _site(eqn: Any, weight: int, held: Held) -> Site | None:
    """The site of this equation, or None where it is no product of real numbers that `run` can tap."""
    if any(not jnp.issubdtype(v.aval.dtype, jnp.floating) for v in (*eqn.invars, *eqn.outvars)):
        return None
    if len(eqn.invars) != 2:
        return None
    shape: tuple[int, ...] = eqn.invars[weight].aval.shape
    size, dtype = math.prod(shape), eqn.outvars[0].aval.dtype
    if eqn.primitive is primitives.dot_general_p:
        contract, batch = eqn.params["dimension_numbers"]
        g, c = (math.prod(shape[i] for i in dims[weight]) for dims in (batch, contract))
        m = _size(eqn.invars[1 - weight]) // max(g * c, 1)
        return Site(held.leaf, weight, g, m, c, size // max(g * c, 1), held.scans, dtype)
    if eqn.primitive is primitives.conv_general_dilated_p and weight == 1 and eqn.params["batch_group_count"] == 1:
        g, out = eqn.params["feature_group_count"], eqn.outvars[0].aval.shape
        channels = shape[eqn.params["dimension_numbers"].rhs_spec[0]]
        m = math.prod(out) // max(channels, 1)
        return Site(held.leaf, weight, g, m, size // max(channels, 1), channels // g, held.scans, dtype)
    return None


def _table(eqn: Any, operand: int, held: Held) -> Site | None:
    """The site of an equation that reads whole rows of a table; None elsewhere, and for a table times a number."""
    if eqn.primitive is not primitives.gather_p or operand != 0 or held.scaled:
        return None
    shape, how = eqn.invars[0].aval.shape, eqn.params["dimension_numbers"]
    starts = tuple(how.start_index_map)
    if tuple(how.collapsed_slice_dims) not in ((), (0,)) or 0 not in starts or how.operand_batching_dims:
        return None
    if len(starts) > 1 and eqn.params["mode"] == GatherScatterMode.FILL_OR_DROP:
        return None  # otherwise a row is read from its first entry, whatever the other indices say
    out = eqn.outvars[0].aval
    if tuple(eqn.params["slice_sizes"]) != (1, *shape[1:]) or not jnp.issubdtype(out.dtype, jnp.floating):
        return None
    rows = _size(eqn.invars[1]) // len(starts)
    return Site(held.leaf, 0, 1, rows, 1, math.prod(shape[1:]), held.scans, out.dtype, table=True)
