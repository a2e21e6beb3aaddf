"""A Flax ResNet with batch normalisation, from `wf.diagnose` to its page: does it train like its linearization?

The command line does the same with `make_model` alone:
wideflow diagnose examples/flax_resnet.py:make_model --images --train 16 --test 16 --steps 20
"""

import jax
import jax.numpy as jnp
from flax import nnx

import wideflow as wf
from wideflow import datasets
from wideflow.diagnostics.page import write_page


class ResNet(nnx.Module):
    """A stem, one residual block, the mean over pixels and a readout."""

    def __init__(self, channels, width, rngs):
        self.stem = nnx.Conv(channels, width, (3, 3), strides=2, rngs=rngs)
        self.norm = nnx.BatchNorm(width, momentum=0.0, rngs=rngs)
        self.conv = nnx.Conv(width, width, (3, 3), rngs=rngs)
        self.head = nnx.Linear(width, 1, rngs=rngs)

    def __call__(self, x):
        """One output for each image."""
        h = self.stem(x)
        h = h + self.conv(nnx.relu(self.norm(h)))
        return self.head(h.mean(axis=(1, 2)))


def make_model(key, x):
    """The function and the parameters; batch normalisation is frozen at averages over x."""
    model = ResNet(x.shape[-1], 16, nnx.Rngs(key))
    model(x)
    return wf.finite.from_nnx(model)


if __name__ == "__main__":
    task = datasets.binary(datasets.load("digits"), train=16, test=16)
    x, x_test = (jnp.asarray(one, jnp.float32).reshape(-1, *task.image_shape) for one in (task.x_train, task.x_test))
    data = (x, task.y_train, x_test, task.y_test)

    f, params = make_model(jax.random.key(0), x).checked(x)
    found = wf.diagnose(f, params, data, wf.GradientDescent(0.05), steps=20)
    print(found)
    print(f"Open {write_page(found, 'runs/flax-resnet', 'A small ResNet on digits', task)}")
