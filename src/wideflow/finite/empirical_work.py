"""One kernel of a finite network on given shapes of inputs: planned, and computed block by block."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .blocks import Shares, in_blocks, mirrored, strip_ends
from .cost import activation_bytes, convolution_operations, operations
from .derivatives import along, forward_gradients, has_forward_mode, has_reverse_mode
from .empirical_plan import EmpiricalPlan, Method, Part, Task, plan_of
from .gradients import Gradient, Outer
from .output_sets import Outputs, OutputSets
from .real_view import RealView
from .sites import survey
from .tapped_run import run


@dataclass(frozen=True)
class Question:
    """What is asked about a network: `rates` has one factor, or None, for each array of the parameters.

    `apart`: the share of each parameter array is wanted by itself.
    """

    outputs: Outputs
    method: Method
    memory: int
    rates: tuple[Any, ...]
    apart: bool = False


class Work:
    """The pieces of one computation; a plan needs shapes alone."""

    def __init__(self, view: RealView, question: Question, n1: int, n2: int | None):
        self.view, self.question = view, question
        self.sets = OutputSets(question.outputs, view.shape)
        self.factors = [question.rates[i] for i in view.origin]
        self.owner = view.origin if question.apart else [0] * len(view.origin)
        self.closed = jax.make_jaxpr(view.outputs)(view.leaves, view.row)
        self.survey = survey(self.closed.jaxpr, len(view.leaves))
        self.dtype = jnp.result_type(*(v.aval.dtype for v in self.closed.jaxpr.outvars))
        dtypes = [jnp.dtype(jnp.float32), self.dtype, *(leaf.dtype for leaf in view.leaves)]
        self.widest = max(dtypes, key=lambda dtype: jnp.finfo(dtype).bits)  # of the kernel
        of_row = lambda leaves: view.outputs(leaves, jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), view.row))  # noqa: E731
        self.reverse = has_reverse_mode(of_row, self.closed.jaxpr, view.leaves)
        self.forward = has_forward_mode(self.closed.jaxpr)
        jaxpr, sizes = self.closed.jaxpr, (n1, n1 if n2 is None else n2, n2 is None)
        self.task = Task(
            *sizes, self.sets, view.complex, self.reverse, operations(jaxpr), convolution_operations(jaxpr),
            *activation_bytes(jaxpr), self.widest.itemsize, question.memory,
        )  # fmt: skip
        self.plan: EmpiricalPlan = plan_of(self.task, self._ways(), question.method)

    def _ways(self) -> dict[str, list[Part]]:
        names, leaves = self.view.names, self.view.leaves
        paths = {site.leaf: path for path, site in self.survey.sites.items()}
        plain = [Part(name, i, leaf.size, "jacobian") for i, (name, leaf) in enumerate(zip(names, leaves, strict=True))]
        structured = []
        for part in plain:
            if not self.reverse:
                structured.append(self._lost(part, "a loop that has no reverse derivative"))
            elif part.leaf in self.survey.lost:
                structured.append(self._lost(part, self.survey.lost[part.leaf]))
            elif part.leaf in paths and np.size(self.factors[part.leaf]) > 1:
                structured.append(self._lost(part, "its entries have rates of their own"))
            elif part.leaf in paths:
                structured.append(self._at_site(part, paths[part.leaf]))
        return {"jacobian": plain, "products": plain, "structured": structured}

    @staticmethod
    def _lost(part: Part, reason: str) -> Part:
        return Part(part.name, part.leaf, part.entries, "jacobian", reason=reason)

    def _at_site(self, part: Part, path: tuple[int, ...]) -> Part:
        site = self.survey.sites[path]
        ways = [Part(part.name, part.leaf, part.entries, "factors", path, site)]
        formed = Part(part.name, part.leaf, part.entries, "gradient", path, site)
        ways.append(self._lost(part, "a small table") if site.table else formed)
        return min(ways, key=lambda way: way.operations(self.task.n1, self.task.n2, self.task.rows, self.sets))

    def kernels(self, x1: Any, x2: Any) -> Shares:
        """The NTK `[n1, n2, *result]`, or every array's share in it if asked for; a block of inputs at a time."""
        compute = self._columns if self.plan.method == "products" else self._block
        return in_blocks(compute, x1, x2, self.plan.steps.block, self.sets.mirrored)

    def diagonal(self, x: Any) -> Shares:
        """The shares in the kernel of each input with itself, `[n, *result]`; planned for pairs of one input."""
        compute = self._columns if self.plan.method == "products" else self._block

        def one(row: Any) -> Shares:
            shares = compute(jax.tree.map(lambda a: a[None], row), None)
            return {leaf: values[0, 0] for leaf, values in shares.items()}

        return jax.lax.map(one, x, batch_size=max(1, int(self.question.memory // max(1.0, self.plan.bytes))))

    def _block(self, x1: Any, x2: Any) -> Shares:
        """The shares between two blocks, from gradients or their factors."""
        shares: Shares = {}
        for step in self.plan.steps.passes:
            for leaf, share in self._pass(step, x1, x2).items():
                shares = _added(shares, leaf, share)
        return shares

    def _pass(self, step: tuple[Part, ...], x1: Any, x2: Any) -> Shares:
        """The shares of a pass's parts, from some of the outputs that are summed over at a time."""
        s, a, q = self.sets.sizes
        rows, some = self.sets.combinations(self.dtype), self.plan.steps.outputs
        if some == q:
            return self._inner_products(step, x1, x2, rows)
        chunks = jnp.moveaxis(rows.reshape(s, a, q // some, some, -1), 2, 0)
        each = jax.lax.map(lambda rows: self._inner_products(step, x1, x2, rows), chunks)
        return jax.tree.map(lambda values: values.sum(axis=0), each)

    def _inner_products(self, step: tuple[Part, ...], x1: Any, x2: Any, rows: Array) -> Shares:
        """The shares of a pass's parts, from the gradients of combinations `rows [s, a, q, entries]` of outputs.

        Of a block with itself strip by strip if inner products are most of the work, which is where all pairs of
        outputs are compared; otherwise strips cost more than the half that they save.
        """
        n = len(jax.tree.leaves(x1)[0])
        ends = strip_ends(n) if x2 is None and self.sets.kind == "full" else [n]
        strips: list[Shares] = [{} for _ in ends]
        one = self._gradients(step, x1, rows)
        two = one if x2 is None else self._gradients(step, x2, rows)
        for part in step:
            first, second = (_formed(part, some[part.leaf]) for some in (one, two))
            first = self._rated(part, first)
            for i, (low, high) in enumerate(zip([0, *ends], ends, strict=False)):
                columns = _rows(second, 0, high) if len(ends) > 1 else second
                share = self.sets.kernel(_rows(first, low, high), columns)
                strips[i] = _added(strips[i], self.owner[part.leaf], share)
        return strips[0] if len(ends) == 1 else jax.tree.map(lambda *some: mirrored(some, self.sets.mirrored), *strips)

    def rates_of(self, leaf: int) -> Array | None:
        """The factors of a parameter array: one number or its shape; None for 1."""
        factor, value = self.factors[leaf], self.view.leaves[leaf]
        if factor is None:
            return None
        factor = jnp.asarray(factor, self.widest)
        return factor.reshape(()) if factor.size == 1 else jnp.broadcast_to(factor, value.shape)

    def _rated(self, part: Part, piece: Gradient | Outer) -> Gradient | Outer:
        rates = self.rates_of(part.leaf)
        if rates is None:
            return piece
        return piece.times(rates if rates.ndim == 0 else rates.reshape(1, 1, 1, 1, -1))

    def _gradients(self, step: tuple[Part, ...], x: Any, rows: Array) -> dict[int, Gradient | Outer]:
        """The gradients of combinations of outputs on a block, by leaf."""
        plain = {part.leaf: self.view.leaves[part.leaf] for part in step if part.site is None}
        sites = {part.path: (part.leaf, part.site) for part in step if part.path is not None and part.site is not None}
        taps = {path: jnp.zeros(site.tap(), site.dtype) for path, (_, site) in sites.items()}
        cotangents = self._cotangents(rows)

        def of_row(row: Any) -> tuple[dict, dict, dict]:
            def outputs(plain: dict, taps: dict) -> tuple[Array, dict]:
                leaves = [plain.get(i, leaf) for i, leaf in enumerate(self.view.leaves)]
                outs, seen = run(self.closed, self.survey, taps, [*leaves, *jax.tree.leaves(row)])
                return outs[0], seen

            if not self.reverse:
                f = lambda leaves: self.view.outputs(leaves, row)  # noqa: E731
                return {leaf: forward_gradients(f, self.view.leaves, leaf, cotangents) for leaf in plain}, {}, {}
            _, pullback, seen = jax.vjp(outputs, plain, taps, has_aux=True)
            return *jax.vmap(pullback)(cotangents), seen

        gradients, deltas, inputs = jax.vmap(of_row)(x)
        found: dict[int, Gradient | Outer] = {}
        for leaf, values in gradients.items():
            values = values.reshape(*values.shape[:2], values[0, 0].size).astype(self.widest)
            found[leaf] = Gradient(self._by_set(values, rows))
        for path, (leaf, site) in sites.items():
            dtype = self.widest
            seen, delta = jax.vmap(site.canonical)(inputs[path]), jax.vmap(jax.vmap(site.canonical))(deltas[path])
            found[leaf] = Outer(seen if site.table else seen.astype(dtype), self._by_set(delta.astype(dtype), rows))
        return found

    def _cotangents(self, rows: Array) -> Array:
        """Combinations of outputs as `[saq, entries]`; of complex ones their real parts, then their imaginary parts."""
        rows = rows.reshape(-1, rows.shape[-1])
        return jnp.kron(jnp.eye(2, dtype=self.dtype), rows) if self.view.complex else rows

    def _by_set(self, values: Array, rows: Array) -> Array:
        """Gradients `[n, saq, …]` as `[n, s, a, q, …]`, complex where outputs are."""
        if self.view.complex:
            half = values.shape[1] // 2
            values = jax.lax.complex(values[:, :half], values[:, half:])
        return values.reshape(len(values), *rows.shape[:-1], *values.shape[2:])

    def _columns(self, x1: Any, x2: Any) -> Shares:
        """The shares between two blocks from NTK-vector products: for every gradient at x2, a derivative along it."""
        rows, leaves = self._cotangents(self.sets.combinations(self.dtype)), self.view.leaves
        every = jax.vmap(self.view.outputs, in_axes=(None, 0))

        def of_leaf(leaf: int, direction: Array) -> Array:
            moved = lambda values: every([*leaves[:leaf], *values, *leaves[leaf + 1 :]], x1)  # noqa: E731
            return along(moved, [leaves[leaf]], [direction], self.forward)  # [n1, entries]

        def of_input(row: Any) -> Shares:
            _, pullback = jax.vjp(lambda values: self.view.outputs(values, row), leaves)
            (gradients,) = jax.vmap(pullback)(rows)
            shares: Shares = {}
            for part in self.plan.parts:
                rates, directions = self.rates_of(part.leaf), gradients[part.leaf]
                rated = lambda d, r=rates: d if r is None else d * r.astype(d.dtype)  # noqa: E731
                directions = jax.vmap(rated)(directions)
                moved = jax.vmap(lambda d, leaf=part.leaf: of_leaf(leaf, d))(directions)
                shares = _added(
                    shares,
                    self.owner[part.leaf],
                    jnp.einsum("bio,ao->iab", *(some.astype(self.widest) for some in (moved, rows))),
                )
            return shares

        columns = jax.lax.map(of_input, x1 if x2 is None else x2)  # [n2, n1, saq, saq]
        return {leaf: self._of_columns(values) for leaf, values in columns.items()}

    def _of_columns(self, values: Array) -> Array:
        """Inner products `[n2, n1, saq, saq]` of all gradients, summed as the kernel is."""
        if self.view.complex:
            n2, n1, all_rows = values.shape[:3]
            (rr, ri), (ir, ii) = values.reshape(n2, n1, 2, all_rows // 2, 2, -1).transpose(2, 4, 0, 1, 3, 5)
            values = jax.lax.complex(rr + ii, ir - ri)
        values = values.swapaxes(0, 1)
        if self.sets.kind != "full":
            values = jnp.diagonal(values, axis1=2, axis2=3)
            values = values.reshape(*values.shape[:2], *self.sets.sizes).sum(axis=4)
            values = values / jnp.asarray(self.sets.divisor, values.dtype)
        return values.reshape(*values.shape[:2], *self.sets.result)

    def values(self, x: Any) -> Array:
        """Outputs of a batch, `[n, entries]`, in the precision of the kernel."""
        outputs = self.view.values(x)
        return outputs.astype(np.result_type(self.widest, np.complex64) if self.view.complex else self.widest)

    def total(self, shares: Shares, shape: tuple[int, ...]) -> Array:
        """The whole kernel; zero where no parameter matters."""
        dtype = np.result_type(self.widest, np.complex64) if self.view.complex else self.widest
        return sum((share.astype(dtype) for share in shares.values()), jnp.zeros((*shape, *self.sets.result), dtype))


def _added(shares: Shares, leaf: int, share: Array) -> Shares:
    return {**shares, leaf: shares[leaf] + share if leaf in shares else share}


def _formed(part: Part, piece: Gradient | Outer) -> Gradient | Outer:
    return piece.formed() if part.way == "gradient" and isinstance(piece, Outer) else piece


def _rows(some: Any, low: int, high: int) -> Any:
    return jax.tree.map(lambda a: a[low:high], some)
