"""Kernels of infinitely wide networks."""

from .gram import gram as gram
from .kernel import Kernel as Kernel
from .kernel import Kernels as Kernels
from .progress import Progress as Progress
