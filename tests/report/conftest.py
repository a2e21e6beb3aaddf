"""A comparison with the shape and the looks of a real one, made with NumPy alone."""

from dataclasses import asdict

import numpy as np
import pytest

from wideflow.lecture.plot import Curve, Frame, Panel, Plot
from wideflow.lecture.sections import SECTIONS
from wideflow.report import write_report
from wideflow.report.store import plain

STEPS = np.array([0, 1, 2, 8, 32, 128, 1024])
LR = 0.5
POINTS = 24


@pytest.fixture(scope="session")
def results():
    return make_results()


@pytest.fixture(scope="session")
def report(results, tmp_path_factory):
    """The page of the results, written once."""
    return write_report(results, tmp_path_factory.mktemp("report"))


def make_results(seed=0, count=100, width=512):
    random = np.random.default_rng(seed)
    images = digits()
    x = np.concatenate([images.reshape(2, -1), random.uniform(0, 1, (POINTS - 2, 64))])
    y = np.where(np.arange(POINTS) % 2 == 0, 1.0, -1.0)
    alpha = np.linspace(0, 1, 41)
    line = alpha[:, None] * x[0] + (1 - alpha[:, None]) * x[1]
    theory = {kind: gaussian_process(kind, x, y, line) for kind in ("ntk", "nngp")}
    noise = random.normal(size=(len(STEPS), 1)) / np.sqrt(count)
    networks = {
        "count": count,
        "mean": theory["ntk"]["mean"] + noise * theory["ntk"]["std"],
        "std": theory["ntk"]["std"] * (1 + random.normal(size=noise.shape) / np.sqrt(2 * count)),
    }
    return {
        "title": "wideflow compare: digits, 0 against 1",
        "status": "complete",
        "status_note": None,
        "created": "2025-01-31T12:00:00+00:00",
        "command": "wideflow compare --data digits --depth 3 --width 512 --networks 100 --out runs/digits",
        "versions": {"wideflow": "0.1.0", "jax": "0.10.2", "python": "3.11.7"},
        "timings": {"kernels": 1.21, "theory": 0.532, "networks": 48.9, "report": 4.0},
        "settings": settings(count, width),
        "data": {
            "name": "digits",
            "description": "scanned handwritten digits, 8 × 8 pixels, from scikit-learn",
            "task": "binary",
            "labels": ["0", "1"],
            "images": {"shape": [8, 8], "pixels": (16 * images.reshape(2, -1)).tolist(), "values": [0, 16]},
            "notes": ["Pixels are scaled to mean 0 and standard deviation 1 over the training set."],
        },
        "line": {
            "alpha": alpha,
            "steps": STEPS,
            "time": STEPS * LR,
            "networks": networks,
            "ntk": theory["ntk"],
            "nngp": theory["nngp"],
            "train_alpha": [0, 1],
            "train_target": [y[1], y[0]],
        },
        "loss": losses(random, width),
        "spectrum": spectrum(random, x, width),
        "kernel_change": kernel_change(random, width),
        "verdicts": verdicts(),
    }


def settings(count, width):
    return {
        "data": "digits",
        "classes": ["0", "1"],
        "train": POINTS,
        "test": 200,
        "depth": 3,
        "width": width,
        "activation": "erf",
        "w": 1.224744871391589,
        "b": 0.1,
        "lr": LR,
        "critical_lr": 0.826,
        "steps": int(STEPS[-1]),
        "networks": count,
        "seed": 0,
    }


def digits():
    """Two 8 × 8 shapes: a ring and a bar."""
    i, j = np.mgrid[:8, :8] - 3.5
    ring = np.exp(-((np.hypot(i, 1.2 * j) - 2.8) ** 2))
    return np.stack([ring, np.exp(-((j + 0.2 * i) ** 2)) * (np.abs(i) < 3.6)])


def gram(kind, x1, x2):
    distance = ((x1[:, None] - x2[None]) ** 2).mean(-1)
    nngp = np.exp(-distance / 0.2) + 0.3
    return nngp if kind == "nngp" else nngp * (3.0 + np.exp(-distance / 0.1))


def learned(kernel, t):
    """Θ⁻¹(1 − exp(−Θt/D))."""
    values, vectors = np.linalg.eigh(kernel)
    return (vectors * (-np.expm1(-values * t / POINTS * 40) / values)) @ vectors.T


def gaussian_process(kind, x, y, line):
    mean, std = [], []
    k_xx, k_tx, k_tt = gram("nngp", x, x), gram("nngp", line, x), gram("nngp", line, line)
    for t in STEPS * LR:
        c = gram(kind, line, x) @ learned(gram(kind, x, x), t)
        covariance = k_tt + c @ k_xx @ c.T - c @ k_tx.T - k_tx @ c.T
        mean.append(c @ y)
        std.append(np.sqrt(np.clip(np.diag(covariance), 0, None)))
    return {"mean": np.array(mean), "std": np.array(std)}


def losses(random, width):
    t = STEPS * LR
    exact = {"train": 0.9 * np.exp(-0.3 * t**0.6), "test": 0.25 + 0.65 * np.exp(-0.3 * t**0.6)}
    parts = {}
    for part, ntk in exact.items():
        networks = ntk * (1 + random.normal(size=t.size) * 0.02 + np.minimum(t, 100) / width / 2)
        spread = 0.3 * networks
        parts[part] = {
            "networks": networks,
            "networks_std": spread,
            "ntk": ntk,
            "flow": ntk * (1 + 0.3 * t / (3 + t)),
        }
    return {"steps": STEPS, "time": t, **parts}


def spectrum(random, x, width):
    eigenvalues = np.sort(np.linalg.eigvalsh(gram("ntk", x, x)))[::-1]
    index = [0, 1, 3, 8, POINTS - 1]
    theory = np.exp(-2 * eigenvalues[index, None] / POINTS * STEPS * LR) * np.array([2.0, 1.0, 1.0, 0.8, 0.5])[:, None]
    networks = theory * np.exp(random.normal(size=theory.shape) * 0.1) + 1e-10 * 512 / width
    modes = {
        "index": index,
        "eigenvalue": eigenvalues[index],
        "steps": STEPS,
        "networks": networks,
        "theory": theory,
    }
    return {"eigenvalues": eigenvalues, "modes": modes}


def kernel_change(random, width):
    widths = [width // 8, width // 4, width // 2, width]
    curve = 12 * (1 - np.exp(-STEPS / 40))
    change = [{"width": n, "relative": curve / n * random.uniform(0.8, 1.25, (4, 1))} for n in widths]
    distance = [{"width": n, "relative": 1.5 / np.sqrt(n) * random.uniform(0.7, 1.4, 4)} for n in widths]
    return {"steps": STEPS, "widths": change, "initial_distance": distance}


def verdicts():
    return [
        {
            "id": "mean",
            "title": "Mean output",
            "passed": True,
            "measured": "largest error 2.4 standard errors",
            "expected": "at most 3 standard errors + 0.8/width",
            "compared_with": "NTK-GP, discrete time",
            "detail": "Over 41 points of the line and 7 times; the allowance is a measured shift.",
            "numbers": {"largest": 2.4},
        },
        {
            "id": "variance",
            "title": "Variance of outputs",
            "passed": False,
            "measured": "ratio 1.46",
            "expected": "between 0.71 and 1.41",
            "compared_with": "NTK-GP, discrete time",
            "detail": "The interval holds 99.7 % of the ratios that 100 Gaussian samples give.",
            "numbers": {"ratio": 1.46},
        },
        {
            "id": "critical",
            "title": "Critical learning rate",
            "passed": None,
            "measured": "–",
            "expected": "loss falls at 0.9 and grows at 1.1 of 2D/λ₁",
            "compared_with": "largest eigenvalue of the NTK",
            "detail": "",
            "numbers": {},
        },
    ]


@pytest.fixture(scope="session")
def diagnosis_results():
    """What `wideflow diagnose` hands to its page, made with NumPy alone."""
    decay = np.exp(-STEPS / 64)
    path = {"steps": STEPS, "losses": np.stack([decay, decay**1.1], axis=1), "changes": 1 - decay}
    path["deviations"] = 0.05 * (1 - decay)
    kernel = {"steps": STEPS[::2], "changes": 0.1 * (1 - decay[::2]), "distances": 0.01 * (1 - decay[::2])}
    kernel |= {"velocities": [1e-4, 1e-5, 1e-6], "alignments": np.linspace(0.3, 0.4, 4), "ranks": [5.0, 4.5, 4.2, 4.1]}
    kernel["eigenvalues"] = np.stack([np.arange(1, 17.0) ** -2.0, 1.1 * np.arange(1, 17.0) ** -2.0])
    scores = {name: {"error": 0.1, "accuracy": 0.9} for name in ("network", "linearization", "before", "after")}
    diagnosis = {"regime": "kernel", "verdict": "in the kernel regime: x", "lr": 0.5, "critical_lr": 1.0, "steps": 1024}
    diagnosis |= {"losses": [1.0, 0.1], "linear_loss": 0.1, "parameter_change": 0.01, "output_change": 1.0}
    diagnosis |= {"deviation": 0.05, "sharpness": [1.0, 1.1], "max_sharpness": 4.0, "lazy_index": 0.02, "ntk": kernel}
    diagnosis |= {"path": path, "test_path": path, "hidden": {"0 Dense": 0.1}, "features": kernel}
    diagnosis["after_kernel"] = scores | {"ridges": [1e-3, 1e-3]}
    widths = {"widths": [64, 128, 256, 512], "deviations": [0.08, 0.04, 0.02, 0.01], "wanted": 0.001, "fraction": 0.5}
    widths |= {"exponent": 1.0, "usable": True, "width": 5120.0, "width_range": [4000.0, 6500.0], "verdict": "found"}
    verdict = {
        "id": "ntk",
        "title": "The NTK stood still",
        "passed": True,
        "measured": "0.1",
        "expected": "at most 0.1",
    }
    return {
        "title": "Is this network in the kernel regime?",
        "status": "complete",
        "command": "wideflow diagnose",
        "settings": {"loss": "square", "width": 512},
        "data": {"name": "digits", "description": "0 (-1) or 1 (+1)", "notes": []},
        "network": {"name": "model.py:make", "width": 512, "parameters": 1000},
        "verdicts": [verdict | {"compared_with": "the NTK before training", "detail": ""}],
        "diagnosis": diagnosis,
        "widths": widths,
    }


@pytest.fixture(scope="session")
def lecture_results():
    """A lecture with all that its page can hold: every verdict, sliders, bands, long words; made with NumPy alone."""
    widths = np.array([64, 128, 256, 512])
    curve = Curve("change of Θ", widths, 1 / widths, 0.8 / widths, 1.2 / widths)
    guide = Curve("∝ N^-1", widths, 1 / widths, kind="guide")
    fall = Panel([curve, guide], "width N", "relative size", "a title", log="xy")
    steps = np.arange(20)
    frames = [
        Frame(f"width {n}", (Panel([Curve("network", steps, np.exp(-400 * steps / n), kind="theory")], "step", "f"),))
        for n in widths
    ]
    plots = (
        Plot("width", "Falls as 1/N.", "Against width on logarithmic axes.", (fall, fall)),
        Plot("paths", "Outputs along training.", "Outputs along training.", (), tuple(frames), "width"),
    )
    long = "f_t(x) = Σ_α Θ_0(x, x_α) (Θ_0^{-1})_αβ (I − e^{−Θ_0 t/D})_βγ y_γ " * 6
    claims = [
        lecture_claim("holds", "kernel", True, "Θ_t → Θ_0: −1.02 (−1.10 … −0.95)", plots),
        lecture_claim(
            "fails",
            "kernel",
            False,
            "x" * 300,
            plots[:1],
            formula=long,
            correction="The slide says O(N^−½). It is O(1/N).",
        ),
        lecture_claim("absent", "architectures", None, "not tested", (), note="cifar10 is not at hand."),
    ]
    return {
        "title": "Gradient Descent in Wide, Deep Neural Networks: every statement, tested",
        "status": "complete",
        "status_note": None,
        "created": "2026-01-31T12:00:00+00:00",
        "command": "wideflow lecture --quick",
        "versions": {"wideflow": "0.1.0", "jax": "0.10.2"},
        "settings": {"scale": "quick", "data": "each claim's own", "seed": 0},
        "sections": SECTIONS,
        "claims": plain(claims),
    }


def lecture_claim(name, section, passed, measured, plots, formula="Θ_t(x, x') = Θ_0(x, x')", correction="", note=""):
    return {
        "id": name,
        "section": section,
        "title": f"The claim that {name}",
        "statement": "The NTK is frozen at its initial value under time evolution.",
        "formula": formula,
        "expected": "exponent −1 ± 0.15 beyond the 95 % interval",
        "source": "Lee et al. 2019",
        "code": "import wideflow as wf\n" + "print(" + "1 + " * 60 + "1)",
        "correction": correction,
        "passed": passed,
        "measured": measured,
        "numbers": {"widths": [64, 128], "slope": {"value": -1.0, "low": -1.1, "high": -0.9}},
        "plots": [asdict(plot) for plot in plots],
        "note": note,
        "setting": {"scale": "quick", "data": "digits", "seed": 0},
        "seconds": 1.5,
    }
