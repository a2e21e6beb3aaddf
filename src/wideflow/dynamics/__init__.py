"""How a wide network trains, from its kernel alone."""

from .ensemble import Ensemble as Ensemble
from .ensemble import Gaussian as Gaussian
from .learning_rate import largest_eigenvalue as largest_eigenvalue
from .learning_rate import max_learning_rate as max_learning_rate
from .rule import GradientDescent as GradientDescent
from .rule import GradientFlow as GradientFlow
from .rule import Rule as Rule
from .spectrum import Spectrum as Spectrum
from .trajectory import Trajectory as Trajectory
