"""Training points that a kernel cannot tell apart."""

from hashlib import blake2b

import numpy as np

_SAME = 8.0  # multiples of ε(Θ_ii + Θ_jj) below which Θ_ii + Θ_jj − 2 Θ_ij is rounding
_NAMED = 5  # groups that a message lists

Groups = list[tuple[int, ...]]


def kernel_duplicates(matrix: np.ndarray, rows: int = 512) -> Groups:
    """Groups of points whose distance Θ_ii + Θ_jj − 2 Θ_ij is zero within rounding, by their indices.

    `matrix [D, D]`: in memory or memory-mapped, read `rows` at a time. Equal inputs have distance zero, whatever the
    kernel; so have inputs that differ by too little for its dtype. Each makes the matrix singular.
    """
    diagonal = np.array(np.diagonal(matrix), dtype=np.float64)
    close = _SAME * float(np.finfo(matrix.dtype).eps) if matrix.dtype.kind == "f" else 0.0
    first = np.arange(len(matrix))
    for start in range(0, len(matrix), rows):
        panel = np.asarray(matrix[start : start + rows], dtype=np.float64)
        total = diagonal[start : start + rows, None] + diagonal
        for i, j in zip(*np.nonzero(np.abs(total - 2 * panel) <= close * np.abs(total)), strict=True):
            first[start + i] = min(first[start + i], first[j])
    return _grouped(first.tolist())


def equal_rows(x: np.ndarray) -> Groups:
    """Groups of equal inputs `[D, …]`, by their indices."""
    return _grouped([blake2b((row + 0.0).tobytes(), digest_size=16).digest() for row in x])  # −0 is 0


def named(groups: Groups) -> str:
    """`rows 0 = 7, 3 = 4 = 9 and 12 more groups`; empty where there are none."""
    if not groups:
        return ""
    listed = ", ".join(" = ".join(str(i) for i in group[:_NAMED]) for group in groups[:_NAMED])
    more = f" and {len(groups) - _NAMED} more groups" if len(groups) > _NAMED else ""
    return f"rows {listed}{more}"


def _grouped(labels: list) -> Groups:
    groups: dict = {}
    for index, label in enumerate(labels):
        groups.setdefault(label, []).append(index)
    return [tuple(group) for group in groups.values() if len(group) > 1]
