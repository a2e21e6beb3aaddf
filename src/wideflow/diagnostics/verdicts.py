"""What the numbers of a diagnosis say, claim by claim."""

from ..compare.verdict import Claim, Verdict
from ..finite import Diagnosis
from ..finite.diagnosis import BARELY_TRAINED, LAZY, percent

RATE = Claim("rate", "Learning rate below the critical one", "the rate at which the linearization diverges")
TRAINED = Claim("trained", "Training has got somewhere", "the loss before training")
NTK = Claim("ntk", "The NTK stood still", "the NTK before training")
OUTPUTS = Claim("outputs", "Outputs follow the linearization", "the network linearized before training, trained alike")


def verdicts_of(diagnosis: Diagnosis) -> list[Verdict]:
    """The claims of the kernel regime, each with its number; in the kernel regime all hold, after some training."""
    (start, end), rate, critical = diagnosis.losses, diagnosis.rule.lr, diagnosis.critical_rate
    moved, off, trained = diagnosis.ntk_change, diagnosis.deviation, BARELY_TRAINED * start
    return [
        Verdict(RATE, rate < critical, f"{rate:.4g}, {percent(rate / critical)} of it", f"below {critical:.4g}", ""),
        Verdict(TRAINED, end <= trained, f"loss {start:.3g} → {end:.3g}", f"at most {trained:.3g}", ""),
        Verdict(NTK, moved <= LAZY, f"changed by {percent(moved)} of its norm", f"at most {percent(LAZY)}", ""),
        Verdict(OUTPUTS, off <= LAZY, f"off by {percent(off)} of their change", f"at most {percent(LAZY)}", ""),
    ]
