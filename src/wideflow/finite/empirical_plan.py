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
_WRITTEN = 25.0  # what a number costs that a matrix product writes, and that is read again
_OUTER = 450.0  # what a number of a gradient costs that automatic differentiation writes, mostly outer products
_CACHED = 120.0  # the same where the gradients of one input at a time stay in the cache
_GROUPED = 7.0  # what an operation costs of a convolution's gradients of each input alone, by automatic differentiation
_COLUMN = 1.5  # what an operation costs of columns, which are computed one input after the other


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

    def transient(self, block: int, sets: OutputSets, gradients: int) -> int:
        """Numbers that two blocks of inputs, of that many gradients each, hold while inner products are taken."""
        if self.site is None or self.way == "jacobian":
            return 0
        if self.way == "gradient":
            return 2 * block * gradients * self.entries
        g, m, _, _ = self.site.sizes
        return block**2 * g * m**2 * (1 + sets.sums)

    def operations(self, n1: int, n2: int, rows: int, sets: OutputSets) -> float:
        """Operations of the inner products between n1 and n2 inputs, and of forming the gradients of `rows` inputs."""
        pairs, numbers = float(n1 * n2), rows * sets.gradients * self.entries
        if self.site is None or self.way == "jacobian":
            return _OUTER * numbers + 2 * pairs * sets.products * self.entries
        g, m, c, k = self.site.sizes
        if self.way == "factors":
            return pairs * g * m**2 * (2 * c + 2 * sets.products * k + _WRITTEN * (1 + sets.sums))
        return (2 * m + _WRITTEN) * numbers + 2 * pairs * sets.products * self.entries


@dataclass(frozen=True)
class Task:
    """Sizes that costs follow from: inputs, outputs, and one evaluation of the function.

    `activations`, `widest`: bytes of all arrays that an evaluation writes, and of the largest one. A backward pass
    keeps the first, and holds two cotangents like the second for each gradient. `reverse`: whether the
    function can be differentiated backwards.
    """

    n1: int
    n2: int
    symmetric: bool
    sets: OutputSets
    complex: bool
    reverse: bool
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

    def rows_in(self, block: int) -> int:
        """Inputs whose gradients are computed, counted again for every pair of blocks that they are in."""
        if block >= max(self.n1, self.n2):
            return self.rows
        blocks1, blocks2 = -(-self.n1 // block), -(-self.n2 // block)
        return 2 * block * (blocks1 * (blocks1 + 1) // 2 if self.symmetric else blocks1 * blocks2)


@dataclass(frozen=True)
class Steps:
    """In which steps a kernel is computed, with its operations and bytes of work arrays.

    `passes`: groups of parts whose gradients are held together, each with its own forward and backward pass. `block`:
    inputs of a block. `outputs`: how many of the outputs that are summed over are held together.
    """

    passes: tuple[tuple[Part, ...], ...]
    block: int
    outputs: int
    operations: float
    bytes: float


@dataclass(frozen=True)
class EmpiricalPlan:
    """How a kernel will be computed, in numbers; `print` shows them beside the other methods.

    `costs`: (operations, bytes) of each method that fits into the memory, from shapes. An operation is one of a large
    matrix product; what is slower counts as more.
    """

    method: str
    steps: Steps
    costs: dict[str, tuple[float, float]]
    refused: dict[str, str]

    @property
    def parts(self) -> tuple[Part, ...]:
        """All parts."""
        return tuple(part for some in self.steps.passes for part in some)

    @property
    def block(self) -> int:
        """Inputs of a block."""
        return self.steps.block

    @property
    def operations(self) -> float:
        """Operations, about."""
        return self.steps.operations

    @property
    def bytes(self) -> float:
        """Bytes of work arrays at a time, about."""
        return self.steps.bytes

    def __str__(self) -> str:
        steps = self.steps
        rows = [
            f"method    {self.method}, blocks of {steps.block:,} inputs, {steps.outputs:,} outputs at a time, "
            f"{len(steps.passes)} passes"
        ]
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
        if name == "products" and not task.reverse:
            refused[name] = "the function has no reverse derivative"
            continue
        steps = _columns(task, ways[name]) if name == "products" else _held(task, ways[name])
        if steps.bytes > task.memory:
            refused[name] = f"it needs {size(steps.bytes)} of memory"
        else:
            found[name] = steps
    if not found:
        reasons = "; ".join(f"{name}: {why}" for name, why in refused.items())
        raise ValueError(f"no method is possible within memory={size(task.memory)} ({reasons}); give more memory")
    best = min(found, key=lambda name: found[name].operations)
    costs = {name: (steps.operations, steps.bytes) for name, steps in found.items()}
    return EmpiricalPlan(best, found[best], costs, refused)


def _columns(task: Task, parts: Sequence[Part]) -> Steps:
    """Columns of the kernel one by one: every gradient of x2, times the Jacobian of a block of x1."""
    q, entries = task.sets.gradients * (2 if task.complex else 1), sum(part.entries for part in parts)
    block, held = max(task.n1, task.n2), lambda b: 2 * q * entries * task.itemsize + b * (1 + q) * task.activations
    while block > 1 and held(block) > task.memory:
        block = -(-block // 2)
    columns = task.n2 * max(1, -(-task.n1 // block))
    operations = _COLUMN * task.operations * (columns * (1 + 2 * q) + 2 * task.n1 * task.n2 * q)
    operations += _CACHED * columns * q * entries
    return Steps((tuple(parts),), block, task.sets.sizes[2], operations, held(block))


def _held(task: Task, parts: Sequence[Part]) -> Steps:
    """Gradients, or their factors, of two blocks of inputs at a time: the cheapest steps that fit, or the smallest.

    Less is held by smaller blocks, by more passes, or by fewer of the summed outputs at a time.
    """
    q, fitting = task.sets.sizes[2], []
    smallest = best = _steps(task, (tuple(parts),), max(task.n1, task.n2), q)
    if smallest.bytes <= task.memory:
        return smallest
    for outputs in (some for some in range(q, 0, -1) if q % some == 0):
        for share in (1, 2, 4, 8, 16, 32, 64):
            passes, block = _packed(parts, task.sets.gradients * outputs // q, share), max(task.n1, task.n2)
            while (best := _steps(task, passes, block, outputs)).bytes > task.memory and block > 1:
                block = -(-block // 2)
            fitting += [best] if best.bytes <= task.memory else []
            smallest = min(smallest, best, key=lambda steps: steps.bytes)
    return min(fitting, key=lambda steps: steps.operations, default=smallest)


def _packed(parts: Sequence[Part], gradients: int, share: int) -> tuple[tuple[Part, ...], ...]:
    """Parts in about `share` passes that hold about the same."""
    room, passes, filled = sum(part.held(gradients) for part in parts) / share, [[]], 0.0
    for part in parts:
        wanted = part.held(gradients)
        if passes[-1] and filled + wanted > room:
            passes.append([])
            filled = 0.0
        passes[-1].append(part)
        filled += wanted
    return tuple(map(tuple, passes))


def _steps(task: Task, passes: tuple[tuple[Part, ...], ...], block: int, outputs: int) -> Steps:
    """These steps with what they cost."""
    sets, parts = task.sets, [part for some in passes for part in some]
    gradients, rows = sets.gradients * outputs // sets.sizes[2], task.rows_in(block)
    runs = len(passes) * sets.sizes[2] // outputs  # of the function
    if task.reverse:
        operations = rows * task.operations * (runs + len(passes) * sets.gradients)
    else:
        operations = rows * task.operations * 2 * sum(part.entries for part in parts) * sets.sizes[2] // outputs
    if all(part.site is None for part in parts):
        weights = task.operations + (_GROUPED - 1) * task.convolutions  # each pass takes the gradients of its own
        operations += rows * sets.gradients * weights
    half = 0.625 if task.symmetric and (block < task.n1 or sets.kind == "full") else 1.0
    operations += half * sum(part.operations(task.n1, task.n2, rows, sets) for part in parts)

    sides = block if task.symmetric and block >= task.n1 else 2 * block
    held = max(sum(part.held(gradients) for part in some) for some in passes)
    transient = max((part.transient(block, sets, gradients) for part in parts), default=0)
    numbers = (sides * held + transient + block**2 * sets.sums) * (2 if task.complex else 1)
    bytes_ = numbers * task.itemsize + sides * (task.activations + 2 * gradients * task.widest)
    return Steps(passes, block, outputs, operations, bytes_)
