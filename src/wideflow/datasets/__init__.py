"""Real data for kernels and networks: load a data set, make a task of it.

>>> from wideflow import datasets
>>> datasets.binary(datasets.load("digits"), classes=(0, 1), train=128, test=128)
Task('digits': 0 (-1) or 1 (+1), 128 training and 128 test rows of 64 features, seed 0)

The large sets are read from the folder that the environment variable WIDEFLOW_DATA names, or downloaded once.
"""

from .binary import binary as binary
from .dataset import Dataset as Dataset
from .dataset import Split as Split
from .errors import DataError as DataError
from .names import known_names as known_names
from .names import load as load
from .regression import regression as regression
from .rows import Rows as Rows
from .scaling import Scaling as Scaling
from .task import Task as Task
