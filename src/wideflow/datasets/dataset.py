"""A data set: raw features and targets as they were published."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from .checks import check_pair, check_test_pair
from .errors import DataError, listed


@dataclass(frozen=True, eq=False)
class Split:
    """A published division of the rows of a data set: row indices `train` and `test`, which may overlap."""

    train: np.ndarray
    test: np.ndarray


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Raw features x [n, *S] with targets y [n], and the set's own test rows where it has them.

    Rows with more than one axis (S = height, width[, channels], channels last) are pictures; S = (d,) is a
    table. Targets are numbers or text labels; `class_names[i]` is the name of integer class i. Nothing is
    normalised here. Raises DataError for shapes that do not fit, non-numbers, NaN and infinity.

    >>> import numpy as np
    >>> from wideflow.datasets import Dataset
    >>> Dataset("line", np.array([[0.0], [1.0], [2.0]]), np.array([0.0, 2.0, 4.0]))
    Dataset('line': 3 rows of 1 feature)
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray | None = None
    y_test: np.ndarray | None = None
    feature_names: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    splits: Mapping[str, Split] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        where = f"data set {self.name!r}"
        if self.feature_names and self.x.shape[1:] != (len(self.feature_names),):
            raise DataError(
                f"{where}: one name per feature wanted, got {len(self.feature_names)} names for rows of "
                f"shape {self.x.shape[1:]}. Name each column once."
            )
        check_pair(where, self.x, self.y, self.feature_names)
        check_test_pair(where, self.x, self.x_test, self.y_test)
        if self.x_test is not None and self.y_test is not None:
            check_pair(f"{where}, test rows", self.x_test, self.y_test, self.feature_names)

    def __repr__(self) -> str:
        shape = "×".join(str(side) for side in self.image_shape or self.x.shape[1:])
        row = f"{shape} pixels" if self.is_image else f"{shape} feature{'s' * (shape != '1')}"
        test = "" if self.x_test is None else f", {len(self.x_test)} test rows"
        splits = f", {len(self.splits)} published splits" if self.splits else ""
        return f"Dataset({self.name!r}: {len(self.x)} rows of {row}{test}{splits})"

    @property
    def is_image(self) -> bool:
        """Whether a row is a picture."""
        return self.x.ndim > 2

    @property
    def image_shape(self) -> tuple[int, ...] | None:
        """The shape of a picture with its channel axis, (height, width, channels); None for a table."""
        if not self.is_image:
            return None
        return self.x.shape[1:] if self.x.ndim > 3 else (*self.x.shape[1:], 1)

    def with_split(self, split: str) -> "Dataset":
        """Return the set whose own training and test rows are those of a published split."""
        if split not in self.splits:
            raise DataError(
                f"data set {self.name!r}: split {split!r} is not among the published splits "
                f"({listed(self.splits, 25) or 'this set has none'}). Choose one of them."
            )
        rows = self.splits[split]
        return replace(
            self,
            name=f"{self.name}:{split}",
            x=self.x[rows.train],
            y=self.y[rows.train],
            x_test=self.x[rows.test],
            y_test=self.y[rows.test],
            splits={},
        )
