"""Finite networks: training them, and what their kernels are."""

from .empirical import empirical_ntk as empirical_ntk
from .ensemble import EnsembleTraining as EnsembleTraining
from .ensemble import Snapshots as Snapshots
from .ensemble import draw_networks as draw_networks
