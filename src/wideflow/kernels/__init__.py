"""Kernels of infinitely wide networks."""

from .depths import Depths as Depths
from .gram import gram as gram
from .kernel import Kernel as Kernel
from .kernel import Kernels as Kernels
from .phase import Phase as Phase
from .phase_diagram import Critical as Critical
from .phase_diagram import PhaseDiagram as PhaseDiagram
from .phase_diagram import condition_number as condition_number
from .progress import Progress as Progress
