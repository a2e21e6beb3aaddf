"""The model of a diagnosis: what a specification names, and what is said where it names none."""

import jax
import jax.numpy as jnp
import pytest

from wideflow.compare.settings import SettingsError
from wideflow.diagnostics.model import Source
from wideflow.diagnostics.settings import DiagnosisSettings

X = jnp.ones((5, 3))
MODELS = """
import jax.numpy as jnp

def linear(params, x):
    return x @ params

def fixed(key, x):
    return linear, jnp.ones((x.shape[1], 1))

def sized(key, x, width=7):
    return linear, jnp.ones((x.shape[1], width)), lambda params, x: x

def bare(key, x):
    return jnp.ones(3)

def raises(key, x):
    return linear, jnp.ones((3, 1)) @ jnp.ones((2, 1))

def none(key, x):
    return linear, {}

def module(key, x):
    from flax import nnx
    return nnx.Linear(3, 1, rngs=nnx.Rngs(0)), jnp.ones((3, 1))

def late(key, x):
    return linear, jnp.ones((2, 1))

def summed(key, x):
    return lambda params, x: jnp.sum(x), jnp.ones(1)

def other(x):
    return None

def many(key, x, depth, width):
    return None

number = 3
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))  # put back what loading a model adds
    (tmp_path / "models_of_mine.py").write_text(MODELS)
    return tmp_path / "models_of_mine.py"


def source(spec):
    return Source.of(DiagnosisSettings(model=str(spec)))


def drawn(spec, width=None):
    return source(spec).draw(jax.random.key(0), X, width)


def test_a_function_of_a_file_gives_the_network(file):
    found = source(f"{file}:fixed")
    assert not found.takes_width
    assert found.draw(jax.random.key(0), X, None).params.shape == (3, 1)


def test_a_function_of_a_width_gives_networks_of_any_width_and_its_default(file):
    found = source(f"{file}:sized")
    assert (found.takes_width, found.default_width) == (True, 7)
    one = found.draw(jax.random.key(0), X, 4)
    assert one.params.shape == (3, 4)
    assert one.hidden is not None


def test_a_module_is_found_on_the_path(file):
    assert drawn("models_of_mine:fixed").params.shape == (3, 1)


def test_the_built_in_network_has_one_output_and_the_settings():
    found = Source.of(DiagnosisSettings(depth=1, activation="erf"))
    one = found.draw(jax.random.key(0), X, 16)
    assert one.f(one.params, X).shape == (5, 1)
    assert found.name == "1 hidden layers of erf units"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("models", "wanted FILE.py:FUNCTION or MODULE:FUNCTION"),
        ("nowhere.py:make", "nowhere.py: an existing file wanted, there is none"),
        ("no_such_module:make", "no_such_module cannot be imported: ModuleNotFoundError"),
        ("{}:missing", "has no function missing. Functions there: linear, fixed, sized"),
        ("{}:number", "has no function number"),
        ("{}:other", r"wanted a function of \(key, x\) or \(key, x, width\), got one of \(x\)"),
        ("{}:many", r"got one of \(key, x, depth, width\)"),
        ("{}:bare", r"wanted it to return \(f, params\) or .*, got ArrayImpl"),
        ("{}:raises", r"raised TypeError \(models_of_mine.py, line 17\): "),
        ("{}:late", r"returned a function f\(params, x\) that raised TypeError \(models_of_mine.py, line 5\)"),
        ("{}:none", "wanted real floating point parameters, which train, got none at all"),
        ("{}:module", r"wanted a function f\(params, x\), got a Flax nnx module .*from_nnx"),
        ("{}:summed", r"must give one array \[n, …\] for inputs \[5, 3\], got \(\)"),
    ],
)
def test_what_is_no_model_is_one_message(file, name, message):
    with pytest.raises(SettingsError, match=message):
        drawn(name.format(file))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"loss": "sqare"}, "--loss sqare: unknown; did you mean square"),
        ({"rule": "adam"}, "--rule adam: unknown"),
        ({"momentum": 1.0}, "--momentum 1.0: must be at least 0 and below 1"),
        ({"wanted": 0.0}, "--wanted 0.0: the deviation wanted must be positive"),
        ({"widths": (8, 16, 16)}, "--widths 8,16,16: wanted at least 3 different positive ones"),
        ({"steps": 0}, "--steps 0: must be at least 1"),
    ],
)
def test_settings_that_make_no_sense_name_their_option(settings, message):
    with pytest.raises(SettingsError, match=message):
        DiagnosisSettings(**settings)
