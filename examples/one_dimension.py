"""Eight points on a sine: what infinitely wide networks predict between and beyond them, and how sure they are.

Two ensembles of the same network: every parameter trained (NTK), and the Bayesian posterior that training the last
layer alone leads to (NNGP). Their means agree near the data; their error bars do not.
"""

import numpy as np

import wideflow as wf
from wideflow import nn

x_train = np.linspace(-2, 2, 8)[:, None]
y_train = np.sin(2 * x_train[:, 0])
x_test = np.linspace(-3, 3, 13)[:, None]

net = nn.Serial(nn.Dense(512, w=2.0, b=1.0), nn.Erf(), nn.Dense(512, w=2.0, b=1.0), nn.Erf(), nn.Dense(1, w=1.0))
kernel = wf.Kernel(net)
ensemble = wf.Ensemble(kernel, x_train, y_train, wf.GradientFlow(), ridge=1e-4)

ntk = ensemble.predict(x_test, t=None, kind="ntk")
nngp = ensemble.predict(x_test, t=None, kind="nngp")

print(net)
print("    x    sin 2x    NTK mean ± 2 sd    NNGP mean ± 2 sd")
for x, a, b, c, d in zip(x_test[:, 0], ntk.mean, np.diag(ntk.cov), nngp.mean, np.diag(nngp.cov), strict=True):
    print(f"{x:5.1f}   {np.sin(2 * x):7.3f}   {a:8.3f} ± {2 * b**0.5:.3f}    {c:9.3f} ± {2 * d**0.5:.3f}")
