"""Which rows of a data set a task trains and tests on."""

from dataclasses import dataclass

import numpy as np

from .checks import check_whole
from .dataset import Dataset
from .errors import DataError
from .labels import Label, label


@dataclass(frozen=True)
class Draw:
    """How many rows to draw and from which seed; None: every row that is left."""

    where: str
    train: int | None
    test: int | None
    seed: int

    def __post_init__(self) -> None:
        check_whole(self.where, "seed", self.seed, 0)
        if self.train is not None:
            check_whole(self.where, "train", self.train, 2)
        if self.test is not None:
            check_whole(self.where, "test", self.test, 1)

    def sizes(self, there: int, own_test: int | None, told: str) -> tuple[int, int]:
        """Return (train, test) out of the rows there are and the own test rows, None filled in.

        Raises DataError when there are too few rows, of which `told` says what they are.
        """
        if own_test is None:
            return self._shared(there, told)
        train, test = self.train or there, self.test or own_test
        self._check("train", max(train, 2), there, told)
        self._check("test", max(test, 1), own_test, "among the set's own test rows")
        return train, test

    def _shared(self, there: int, told: str) -> tuple[int, int]:
        if self.train is None and self.test is None:
            raise DataError(
                f"{self.where}(train=None, test=None): one size wanted, since the set has no test rows "
                "of its own. Give train or test."
            )
        train, test = self.train or there - (self.test or 0), self.test or there - (self.train or 0)
        self._check("train + test", max(train, 2) + max(test, 1), there, told)
        return train, test

    def _check(self, what: str, asked: int, there: int, told: str) -> None:
        if asked > there:
            raise DataError(
                f"{self.where}(train={self.train}, test={self.test}): {asked} rows wanted for {what}, "
                f"there are {there} {told}. Ask for fewer rows."
            )


@dataclass(frozen=True, eq=False)
class Rows:
    """Row indices: train [D] of Dataset.x; test [M] of Dataset.x_test if `own_test`, else of Dataset.x."""

    train: np.ndarray
    test: np.ndarray
    own_test: bool


def regression_rows(dataset: Dataset, draw: Draw) -> Rows:
    """Draw rows uniformly without replacement, training and test disjoint."""
    rng = np.random.default_rng(draw.seed)
    own = None if dataset.y_test is None else len(dataset.y_test)
    train, test = draw.sizes(len(dataset.y), own, "in the set")
    order = rng.permutation(len(dataset.y))
    test_rows = order[train : train + test] if own is None else rng.permutation(own)[:test]
    return Rows(order[:train], test_rows, own is not None)


def binary_rows(dataset: Dataset, pair: tuple[Label, Label], draw: Draw) -> Rows:
    """Draw rows of two classes: test rows in their natural proportion, training rows balanced.

    Without test rows of its own the set gives up its test rows first (all but one row of each class can be
    drawn), so that a rare class is tested too; the training rows are then balanced as far as the rest allows.
    """
    rng = np.random.default_rng(draw.seed)
    pools = [rng.permutation(np.flatnonzero(dataset.y == value)) for value in pair]
    own = None if dataset.y_test is None else _rows_of(dataset.y_test, pair)
    told = _counts(dataset, pair, pools)
    train, test = draw.sizes(sum(map(len, pools)), None if own is None else len(own), told)
    if own is not None:
        return Rows(rng.permutation(_balanced(pools, train)), rng.choice(own, test, replace=False), True)
    tested = rng.choice(np.concatenate([pool[1:] for pool in pools]), test, replace=False)
    pools = [pool[~np.isin(pool, tested)] for pool in pools]
    return Rows(rng.permutation(_balanced(pools, train)), tested, False)


def _balanced(pools: list[np.ndarray], size: int) -> np.ndarray:
    """Return `size` rows, half from each of two pools (the odd one from the first), or all of the smaller."""
    first = min(max(size - size // 2, size - len(pools[1])), len(pools[0]))
    return np.concatenate([pools[0][:first], pools[1][: size - first]])


def _rows_of(y: np.ndarray, pair: tuple[Label, Label]) -> np.ndarray:
    return np.flatnonzero((y == pair[0]) | (y == pair[1]))


def _counts(dataset: Dataset, pair: tuple[Label, Label], pools: list[np.ndarray]) -> str:
    pairs = zip(pair, pools, strict=True)
    return "of " + " and ".join(f"class {label(dataset, value)} ({len(pool)})" for value, pool in pairs)
