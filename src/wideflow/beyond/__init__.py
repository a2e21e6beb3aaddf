"""Where the kernel picture ends: large learning rates, finite width, features, limits other than infinite width."""

from .slope import Slope as Slope
from .slope import fit_slope as fit_slope
