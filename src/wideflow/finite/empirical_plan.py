"""How the kernel of a finite network is computed: what each method costs, and the parts of the chosen one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ..kernels.plan import size
from .output_sets import OutputSets
from .sites import Path, Site

Method = Literal["auto", "jacobian", "structured", "products"]
METHODS = ("jacobian", "structured", "products")
_LEAST_ROWS = 8  # of a block, where parameters can be split instead: fewer make inner products memory-bound
# Measured by benchmarks/empirical.py, in operations of a matrix product:
_WRITTEN = 25.0  # what a number costs that is written and read again
_GROUPED = 7.0  # what an operation costs of a convolution's gradients of each input alone, by automatic differentiation
_COLUMN = 3.0  # what an operation costs of columns, which are computed one input after the other


@dataclass(frozen=True)
class Part:
    """One parameter array: its `leaf` number, its `site` if it has one, and how its share of the NTK is computed.

    `way`: "jacobian" (gradients by automatic differentiation), "gradient" (gradients from inputs and cotangents of the
    product the weight is in) or "factors" (inner products from these, without gradients). `reason`: why without a site.
    """

    name: str
    leaf: int
    entries: int
    way: Literal["jacobian", "gradient", "factors"]
    path: Path | None = None
    site: Site | None = None
    reason: str = ""

    def held(self, gradients: int) -> int:
        """Numbers that one input holds until inner products are taken."""
        if self.site is None:
            return gradients * self.entries
        g, m, c, k = self.site.sizes
        return g * m * (c + gradients * k)

    def transient(self, block: int, sets: OutputSets) -> int:
        """Numbers that two blocks of inputs hold while inner products are taken."""
        if self.site is None or self.way == "jacobian":
            return 0
        if self.way == "gradient":
            return 2 * block * sets.gradients * self.entries
        g, m, _, _ = self.site.sizes
        return block**2 * g * m**2 * (1 + (sets.products if sets.kind == "full" else sets.sizes[0]))

    def operations(self, n1: int, n2: int, rows: int, sets: OutputSets) -> float:
        """Operations of the inner products between n1 and n2 inputs, and of forming the gradients of `rows` inputs."""
        pairs, written = float(n1 * n2), _WRITTEN * rows * sets.gradients * self.entries
        if self.site is None or self.way == "jacobian":
            return written + 2 * pairs * sets.products * self.entries
        g, m, c, k = self.site.sizes
        if self.way == "factors":
            kept = 1 + (sets.products if sets.kind == "full" else sets.sizes[0])
            return pairs * g * m**2 * (2 * c + 2 * sets.products * k + _WRITTEN * kept)
        forming = 2.0 * rows * sets.gradients * m * self.entries
        return forming + written + 2 * pairs * sets.products * self.entries


@dataclass(frozen=True)
class Task:
    """Sizes that costs follow from: inputs, outputs, and one evaluation of the function.

    `activations`, `widest`: bytes of all arrays that an evaluation writes, and of the largest one. A backward pass
    keeps the first, and holds two cotangents like the second for each gradient.
    """

    n1: int
    n2: int
    symmetric: bool
    sets: OutputSets
    complex: bool
    operations: float
    convolutions: float
    activations: float
    widest: float
    itemsize: int
    memory: int

    @property
    def rows(self) -> int:
        """Inputs whose gradients are needed."""
        return self.n1 if self.symmetric else self.n1 + self.n2


@dataclass(frozen=True)
class EmpiricalPlan:
    """How a kernel will be computed, in numbers; `print` shows them beside the other methods.

    `passes`: groups of parts whose gradients are held together, each with its own forward and backward pass. `block`:
    inputs of a block. `operations` and `bytes` of each method that fits into the memory, from shapes.
    """

    method: str
    passes: tuple[tuple[Part, ...], ...]
    block: int
    costs: dict[str, tuple[float, float]]
    refused: dict[str, str]

    @property
    def parts(self) -> tuple[Part, ...]:
        """All parts."""
        return tuple(part for some in self.passes for part in some)

    @property
    def operations(self) -> float:
        """Floating point operations, about."""
        return self.costs[self.method][0]

    @property
    def bytes(self) -> float:
        """Bytes of work arrays at a time, about."""
        return self.costs[self.method][1]

    def __str__(self) -> str:
        rows = [f"method    {self.method}, blocks of {self.block:,} inputs, {len(self.passes)} passes"]
        for name, (operations, held) in self.costs.items():
            rows.append(f"{name:11}{operations:.1e} operations, {size(held)} at a time")
        rows += [f"{name:11}not possible: {why}" for name, why in self.refused.items()]
        for part in self.parts:
            why = f" ({part.reason})" if part.reason else ""
            rows.append(f"  {part.name:20} {part.entries:>12,} entries: {part.way}{why}")
        return "\n".join(rows)

    __repr__ = __str__


def plan_of(task: Task, ways: Mapping[str, Sequence[Part]], method: Method) -> EmpiricalPlan:
    """The plan with the fewest operations of those that fit into memory; `ways`: parts by method.

    Raises ValueError where no method fits, or the wanted one does not, with the bytes it needs.
    """
    found, refused = {}, {}
    for name in METHODS if method == "auto" else (method,):
        if name == "products" and task.complex:
            refused[name] = "outputs are complex"
            continue
        passes, block, operations, held = _products(task, ways[name]) if name == "products" else _held(task, ways[name])
        if held > task.memory:
            refused[name] = f"it needs {size(held)}"
        else:
            found[name] = passes, block, operations, held
    if not found:
        reasons = "; ".join(f"{name}: {why}" for name, why in refused.items())
        raise ValueError(f"memory: no method fits into {size(task.memory)} ({reasons}); give more memory")
    best = min(found, key=lambda name: found[name][2])
    costs = {name: (operations, held) for name, (_, _, operations, held) in found.items()}
    return EmpiricalPlan(best, found[best][0], found[best][1], costs, refused)


def _products(task: Task, parts: Sequence[Part]) -> tuple[tuple, int, float, float]:
    """Columns of the kernel one by one: every gradient of x2, times the Jacobian of a block of x1."""
    q, entries = task.sets.gradients, sum(part.entries for part in parts)
    operations = _COLUMN * task.operations * (task.n2 * (1 + 2 * q) + 2 * task.n1 * task.n2 * q)
    block = max(task.n1, 1)
    held = lambda b: 2 * q * entries * task.itemsize + b * (1 + q) * task.activations  # noqa: E731
    while block > 1 and held(block) > task.memory:
        block = -(-block // 2)
    return (tuple(parts),), block, operations, held(block)


def _held(task: Task, parts: Sequence[Part]) -> tuple[tuple, int, float, float]:
    """Gradients, or their factors, of two blocks of inputs at a time."""
    passes, block = _packed(task, parts), max(task.n1, task.n2)
    while block > 1 and _bytes(task, passes, block) > task.memory:
        block = -(-block // 2)
    operations = task.rows * len(passes) * task.operations * (1 + task.sets.gradients)
    if all(part.site is None for part in parts):
        weights = task.operations + (_GROUPED - 1) * task.convolutions  # each pass takes the gradients of its own
        operations += task.rows * task.sets.gradients * weights
    half = 0.625 if task.symmetric and (block < task.n1 or task.sets.kind == "full") else 1.0
    operations += half * sum(part.operations(task.n1, task.n2, task.rows, task.sets) for part in parts)
    return passes, block, operations, _bytes(task, passes, block)


def _packed(task: Task, parts: Sequence[Part]) -> tuple[tuple[Part, ...], ...]:
    """Parts in as few passes as let a block have some rows."""
    room = task.memory / (2 * min(_LEAST_ROWS, max(task.n1, task.n2)) * task.itemsize) / 2
    passes, filled = [[]], 0.0
    for part in parts:
        wanted = part.held(task.sets.gradients)
        if passes[-1] and filled + wanted > room:
            passes.append([])
            filled = 0.0
        passes[-1].append(part)
        filled += wanted
    return tuple(map(tuple, passes))


def _bytes(task: Task, passes: tuple[tuple[Part, ...], ...], block: int) -> float:
    q = task.sets.gradients
    sides = block if task.symmetric and block >= task.n1 else 2 * block
    held = max(sum(part.held(q) for part in some) for some in passes)
    transient = max((part.transient(block, task.sets) for some in passes for part in some), default=0)
    numbers = sides * held + transient + block**2 * task.sets.products
    return numbers * task.itemsize * (2 if task.complex else 1) + sides * (task.activations + 2 * q * task.widest)
