"""The scanned digits that come with scikit-learn: no download."""

import numpy as np

from .dataset import Dataset
from .errors import DataError


def digits() -> Dataset:
    """Return 1,797 scanned digits of 8 × 8 pixels with values 0 to 16 (UCI optdigits, test part)."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise DataError(
            "load('digits'): the digits come with scikit-learn, which is not installed. "
            "Install it with: pip install 'wideflow[data]'."
        ) from error
    x, y = load_digits(return_X_y=True)
    return Dataset(
        name="digits",
        x=np.asarray(x, np.uint8).reshape(-1, 8, 8, 1),
        y=np.asarray(y, np.uint8),
        class_names=tuple("0123456789"),
    )
