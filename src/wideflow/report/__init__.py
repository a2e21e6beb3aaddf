"""Figures and self-contained HTML pages, made from a plain dictionary of results and nothing else."""

from .catapult import catapult_figure as catapult_figure
from .compare import write_report as write_report
from .coordinates import coordinate_check_figure as coordinate_check_figure
from .coordinates import coordinate_figure as coordinate_figure
from .diagnosis import write_diagnosis as write_diagnosis
from .evolution import evolution_figure as evolution_figure
from .finite_width import finite_width_figure as finite_width_figure
from .laziness import lazy_figure as lazy_figure
from .lecture import write_lecture as write_lecture
from .phase import phase_figure as phase_figure
from .radial import radial_figure as radial_figure
from .regimes import regime_map_figure as regime_map_figure
from .store import read_json as read_json
from .store import write_json as write_json
