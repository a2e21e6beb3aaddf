"""Five classes, cross-entropy: what an infinitely wide network predicts along training, from its kernel alone.

Gradient flow to any time, and stochastic gradient descent with momentum step by step, on the same kernel.
"""

import numpy as np

import wideflow as wf
from wideflow import nn
from wideflow.dynamics import HeavyBall, KernelSGD, SoftmaxCrossEntropy, batch_order

rng = np.random.default_rng(0)
centres = rng.standard_normal((5, 8))  # five noisy clusters stand in for data
labels = rng.integers(0, 5, 240)
x = centres[labels] + 0.8 * rng.standard_normal((240, 8))
x_train, x_test, y_train, y_test = x[:160], x[160:], labels[:160], labels[160:]

net = nn.Serial(nn.Dense(512, w=1.5, b=0.1), nn.Relu(), nn.Dense(512, w=1.5, b=0.1), nn.Relu(), nn.Dense(5))
kernel = wf.Kernel(net)
ntk_train, ntk_test_train = kernel.ntk(x_train), kernel.ntk(x_test, x_train)

times = [0.1, 1.0, 10.0, 100.0, 1000.0]
flow = wf.LossTrajectory(SoftmaxCrossEntropy(), ntk_train, y_train)
print(net)
print("gradient flow   time    accuracy   largest logit")
for t, logits in zip(times, flow.test(times, ntk_test_train), strict=True):
    print(f"           {t:9.1f}   {np.mean(logits.argmax(axis=1) == y_test):8.3f}   {logits.max():8.2f}")

steps = [1, 10, 100, 1000]
order = batch_order(len(x_train), batch=16, steps=1000, seed=0)
sgd = KernelSGD(SoftmaxCrossEntropy(), ntk_train, y_train, HeavyBall(0.1, 0.9), order)
print("SGD, momentum   step    accuracy   largest logit")
for n, logits in zip(steps, sgd.test(steps, ntk_test_train), strict=True):
    print(f"           {n:9d}   {np.mean(logits.argmax(axis=1) == y_test):8.3f}   {logits.max():8.2f}")
