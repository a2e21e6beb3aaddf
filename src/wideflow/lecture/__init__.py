"""The lecture "Gradient Descent in Wide, Deep Neural Networks", each statement as an experiment with a verdict."""

from .claim import Claim as Claim
from .claim import Outcome as Outcome
from .registry import UnknownClaimError as UnknownClaimError
from .registry import all_claims as all_claims
from .registry import chosen_claims as chosen_claims
from .run import Lecture as Lecture
from .setting import Setting as Setting
