"""Every test runs with shapes checked, strict dtype promotion, warnings as errors and two CPU devices."""

import os

os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=2")

import jax
import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

# For good, not in a `with` block: wideflow imports its parts when they are first asked for. `float` takes an int.
CHECKER = "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"
install_import_hook("wideflow", CHECKER)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
settings.register_profile("wideflow", deadline=None, print_blob=True, max_examples=25)
settings.load_profile("wideflow")


@pytest.fixture
def x64():
    """Run the test with 64-bit types enabled; kernels are computed in the dtype of their input."""
    with jax.enable_x64(True):
        yield
