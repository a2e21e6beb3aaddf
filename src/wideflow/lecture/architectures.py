"""Other architectures: a relevant dimension goes to infinity."""

import jax.numpy as jnp
import numpy as np

from .. import nn
from ..kernels import Kernel
from .agreement import mean_error
from .claim import Claim, Outcome
from .materials import drawn_ntks, keys, labelled
from .power_law import PowerLaw, Sizes, geometric_mean
from .setting import Setting

_SINGLE = 1e-5  # relative, of kernels in single precision
_QUERY = 0.5  # standard deviation of the queries' weights


def _images(setting: Setting, count: int) -> np.ndarray:
    """A few images `[n, h, w, c]` of about 8 × 8 pixels."""
    return labelled(setting, count, side=8).x


def _convolutional(channels: int) -> nn.Serial:
    return nn.Serial(
        nn.Conv(channels, (3, 3)), nn.Relu(), nn.Conv(channels, (3, 3)), nn.Relu(), nn.GlobalAvgPool(), nn.Dense(1)
    )


def _residual(channels: int) -> nn.Serial:
    block = nn.Residual(nn.Relu(), nn.Conv(channels, (3, 3)))
    return nn.Serial(nn.Conv(channels, (3, 3)), block, nn.Relu(), nn.Flatten(), nn.Dense(1))


def _distances(setting: Setting, families: dict, x: np.ndarray, channels: tuple[int, ...], seeds: int) -> Outcome:
    """Distance of the NTK from the infinite one: single networks against the channels, their mean at the widest."""
    found: dict[str, np.ndarray] = {}
    off = {}
    for order, (name, family) in enumerate(families.items()):
        limit = np.asarray(Kernel(family(4)).ntk(x), np.float64)
        draws = []
        for row, count in enumerate(channels):
            setting.tell((order + row / len(channels)) / len(families))
            draws.append(drawn_ntks(family(count), jnp.asarray(x), keys(setting, f"{name} {count}", seeds)))
        found[name] = np.stack([np.linalg.norm(d - limit, axis=(1, 2)) / np.linalg.norm(limit) for d in draws])
        sizes = [np.sum(d * limit, axis=(1, 2))[:, None] / np.sum(limit**2) for d in draws]
        off[name] = max(mean_error(draws[-1], draws[-3], limit), mean_error(sizes[-1], sizes[-3], np.ones(1)))
    laws = [PowerLaw(name, -0.5, not_exponent=0.0, tolerance=0.15, statistic=geometric_mean) for name in families]
    outcome = Sizes(channels, found, "‖Θ_0 − Θ‖/‖Θ‖").outcome(
        laws, "Distance of the NTK of single networks from that of the infinite network."
    )
    text = f"{outcome.measured}; mean over {seeds} networks off the limit by "
    text += ", ".join(f"{error:.2f}" for error in off.values()) + " of what chance and width allow"
    return Outcome(
        bool(outcome.passed and max(off.values()) < 1), text, dict(outcome.numbers) | {"mean": off}, outcome.plots
    )


def convolutional(setting: Setting) -> Outcome:
    """Channels of convolutional networks to infinity: pooled over all pixels, and residual and flattened."""
    families = {"convolutional, pooled": _convolutional, "residual, flattened": _residual}
    x = _images(setting, setting.pick(4, 6, 16))
    found, hand = np.asarray(Kernel(_convolutional(4)).ntk(x[:4]), np.float64), _by_hand(x[:4].astype(np.float64))
    channels = setting.pick((8, 16, 32, 64), (16, 32, 64, 128), (32, 64, 128, 256, 512))
    return _written_out(_distances(setting, families, x, channels, setting.pick(48, 64, 128)), found, hand)


def _written_out(outcome: Outcome, found: np.ndarray, hand: np.ndarray) -> Outcome:
    """The outcome, if the library's kernel is also the one by hand."""
    off = float(np.max(np.abs(found - hand)) / np.max(hand))
    text = f"{outcome.measured}; the recursion over all pairs of pixels, written out, off by {off:.1e}"
    return Outcome(bool(outcome.passed and off < _SINGLE), text, outcome.numbers, outcome.plots)


def _by_hand(x: np.ndarray) -> np.ndarray:
    """Θ of `_convolutional` on images `[n, h, w, c]`, pair of pixels by pair: means over patches with zeros around."""
    height, width = x.shape[1:3]

    def patch(k: np.ndarray) -> np.ndarray:
        k = np.pad(k, [(0, 0), (0, 0), *[(1, 1)] * 4])
        shifts = [(slice(i, i + height), slice(j, j + width)) for i in range(3) for j in range(3)]
        return sum((k[:, :, *one, *one] for one in shifts), np.zeros(())) / 9

    nngp = patch(np.einsum("ahwc,bijc->abhwij", x, x) / x.shape[3])
    ntk = nngp
    for last in (False, True):
        own = np.sqrt(np.einsum("aahwhw->ahw", nngp))
        size = np.einsum("ahw,bij->abhwij", own, own)
        angle = np.arccos(np.clip(nngp / np.where(size > 0, size, 1), -1, 1))
        value = size / (2 * np.pi) * (np.sin(angle) + (np.pi - angle) * np.cos(angle))
        below = ntk * (np.pi - angle) / (2 * np.pi)
        mean = (lambda k: k.mean(axis=(2, 3, 4, 5))) if last else patch
        nngp, ntk = mean(value), mean(value) + mean(below)
    return ntk


def _softmax(n: int) -> nn.Serial:
    attention = nn.SelfAttention(2 * n, heads=n, key_size=4 * n)
    return nn.Serial(nn.Dense(4 * n), nn.Relu(), attention, nn.GlobalAvgPool(), nn.Dense(1))


def _linear_scores(n: int) -> nn.Serial:
    attention = nn.SelfAttention(2 * n, heads=n, key_size=n, scores=nn.Identity(), scale="1/sqrt(d)", w_query=_QUERY)
    return nn.Serial(nn.Dense(4 * n), nn.Relu(), attention, nn.GlobalAvgPool(), nn.Dense(1))


def attention(setting: Setting) -> Outcome:
    """Heads and their channels to infinity; the rows of an image are the tokens."""
    x = _images(setting, setting.pick(3, 6, 16)).mean(axis=-1)
    families = {"softmax, 1/d": _softmax, "linear scores, 1/√d": _linear_scores}
    heads = setting.pick((4, 8, 16, 32), (8, 16, 32, 64), (16, 32, 64, 128))
    found = np.asarray(Kernel(_linear_scores(4)).ntk(x), np.float64)
    outcome = _distances(setting, families, x, heads, 128)
    return _written_out(outcome, found, _attention_by_hand(x.astype(np.float64)))


def _attention_by_hand(x: np.ndarray) -> np.ndarray:
    """Θ of `_linear_scores` on tokens `[n, t, c]`: K_out = s² K_ab Σ_ij K_ij², and what each matrix and input adds."""
    k = np.einsum("aic,bjc->abij", x, x) / x.shape[2]
    own = np.sqrt(np.einsum("aaii->ai", k))
    size = np.einsum("ai,bj->abij", own, own)
    angle = np.arccos(np.clip(k / np.where(size > 0, size, 1), -1, 1))
    nngp = size / (2 * np.pi) * (np.sin(angle) + (np.pi - angle) * np.cos(angle))
    ntk = k * (np.pi - angle) / (2 * np.pi)
    total = lambda v: v.sum(axis=(2, 3))[:, :, None, None]  # noqa: E731
    out = _QUERY**2 * nngp * total(nngp**2)
    by_values = out + _QUERY**2 * nngp * total(nngp * ntk)
    by_scores = _QUERY**2 * (2 * nngp * total(nngp**2) + ntk * total(nngp**2) + nngp * total(ntk * nngp))
    return (2 * out + by_values + by_scores).mean(axis=(2, 3))  # the output matrix and the readout add `out` each


CLAIMS = (
    Claim(
        "convolutional-limit",
        "architectures",
        "Convolutional networks with many channels",
        "The result extends to other architectures by taking a relevant dimension to infinity, for instance the number "
        "of channels of a convolutional network.",
        "Θ_0 → Θ as channels → ∞,   ‖Θ_0 − Θ‖/‖Θ‖ ~ channels^−½",
        "exponent −½ ± 0.15 beyond the 99 % interval, 0 excluded; the mean within 4 standard errors and the 1/N part; "
        "off the recursion written out by less than 1e-5",
        "Arora et al. 2019; Yang 2019; lecture, “Remarks”",
        convolutional,
        """import jax, numpy as np, wideflow as wf
from wideflow import nn
x = np.random.default_rng(0).standard_normal((3, 6, 6, 1)).astype(np.float32)
def net(channels): return nn.Serial(nn.Conv(channels, (3, 3)), nn.Relu(), nn.GlobalAvgPool(), nn.Dense(1))
print(wf.Kernel(net(8)).ntk(x))
print(wf.EmpiricalKernel(net(512).apply, net(512).init(jax.random.key(0), x)).ntk(x))""",
    ),
    Claim(
        "attention-limit",
        "architectures",
        "Self-attention with many heads",
        "Attention-based models have infinite limits too: the number of heads goes to infinity with the width.",
        "Θ_0 → Θ as heads → ∞,   ‖Θ_0 − Θ‖/‖Θ‖ ~ heads^−½",
        "exponent −½ ± 0.15 beyond the 99 % interval, 0 excluded; the mean within 4 standard errors and the 1/N part; "
        "for linear scores off the recursion written out by less than 1e-5",
        "Hron et al. 2020; lecture, references",
        attention,
        """import jax, numpy as np, wideflow as wf
from wideflow import nn
x = np.random.default_rng(0).standard_normal((3, 5, 4)).astype(np.float32)
def net(n): return nn.Serial(nn.Dense(4 * n), nn.Relu(), nn.SelfAttention(n, n, 4 * n), nn.Flatten(), nn.Dense(1))
print(wf.Kernel(net(4)).ntk(x))
print(wf.EmpiricalKernel(net(64).apply, net(64).init(jax.random.key(0), x)).ntk(x))""",
    ),
)
