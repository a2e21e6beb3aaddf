"""The model that is diagnosed: the built-in network, or a function of the user's."""

import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax

from ..compare.network import network
from ..compare.settings import SettingsError
from ..finite.function_check import check_function
from ..finite.parameter_check import check_trainable
from .settings import DiagnosisSettings

_ADAPTERS = "for a module, what wideflow.finite.from_nnx, from_linen or from_equinox makes of it"
_RETURNS = "(f, params) or (f, params, hidden), with f(params, x [n, …]) -> [n, …]"


@dataclass(frozen=True)
class Drawn:
    """A network: its function, its parameters, and what is known of its hidden activations."""

    f: Callable[[Any, Any], Any]
    params: Any
    hidden: Callable[[Any, Any], Any] | None = None


@dataclass(frozen=True)
class Source:
    """Where networks come from. `make(key, x)`, or `make(key, x, width)` where `takes_width`."""

    name: str
    make: Callable[..., Any]
    takes_width: bool
    default_width: int | None = None

    @classmethod
    def of(cls, settings: DiagnosisSettings) -> "Source":
        """The source that the settings name; SettingsError where there is none."""
        if settings.model is None:
            name = f"{settings.depth} hidden layers of {settings.activation} units"
            return cls(name, BuiltIn(settings), takes_width=True)
        make = _loaded(settings.model)
        try:
            parameters = list(inspect.signature(make).parameters.values())
        except (TypeError, ValueError):
            raise SettingsError(f"{settings.model}: is not a function of (key, x) or (key, x, width)") from None
        wanted = [p for p in parameters if p.default is p.empty and p.kind is not p.VAR_POSITIONAL]
        width = next((p for p in parameters if p.name == "width"), None)
        if len(wanted) > 3 or len(parameters) < 2 or (len(parameters) > 2 and width is not parameters[2]):
            raise SettingsError(
                f"{settings.model}: wanted a function of (key, x) or (key, x, width), got one of "
                f"({', '.join(p.name for p in parameters)})"
            )
        default = width.default if width is not None and isinstance(width.default, int) else None
        return cls(settings.model, make, width is not None, default)

    def draw(self, key: Any, x: Any, width: int | None) -> Drawn:
        """A network for inputs like `x`. SettingsError, before any training, where that or its first output fails."""
        try:
            made = self.make(key, x, width) if self.takes_width else self.make(key, x)
        except Exception as error:
            raise self._failed("raised", error, x) from error
        if not isinstance(made, tuple | list) or len(made) not in (2, 3) or not callable(made[0]):
            hint = f"; {_ADAPTERS}" if callable(made) else ""
            raise SettingsError(f"{self.name}: wanted it to return {_RETURNS}, got {_described(made)}{hint}")
        drawn = Drawn(*made)
        try:
            check_function(drawn.f, "f")
            check_trainable(drawn.params, "params")
        except (TypeError, ValueError) as error:
            raise SettingsError(f"{self.name}: {error}") from error
        try:
            outputs = jax.eval_shape(drawn.f, drawn.params, x)
        except Exception as error:
            raise self._failed("returned a function f(params, x) that raised", error, x) from error
        if not isinstance(outputs, jax.ShapeDtypeStruct) or outputs.shape[:1] != x.shape[:1]:
            raise SettingsError(
                f"{self.name}: f(params, x) must give one array [n, …] for inputs {list(x.shape)}, got "
                f"{getattr(outputs, 'shape', type(outputs).__name__)}"
            )
        return drawn

    def _failed(self, what: str, error: Exception, x: Any) -> SettingsError:
        """The user's error in one message, with the last line of the user's own code that it passed."""
        file = getattr(getattr(self.make, "__code__", None), "co_filename", None)
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
        where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
        first = next(iter(str(error).strip().splitlines()), "")
        inputs = f"its inputs are {list(x.shape)}{', pictures with --images' if x.ndim == 2 else ''}"
        return SettingsError(f"{self.name}: {what} {type(error).__name__}{where}: {first.rstrip('.')}; {inputs}")


@dataclass(frozen=True)
class BuiltIn:
    """The fully connected network of some settings, with one output."""

    settings: DiagnosisSettings

    def __call__(self, key: Any, x: Any, width: int) -> tuple[Callable[[Any, Any], Any], Any]:
        """Its function and parameters at a width."""
        net = network(self.settings.comparison, width)
        return net.apply, net.init(key, x)


def _loaded(spec: str) -> Callable[..., Any]:
    """The function that FILE.py:FUNCTION or MODULE:FUNCTION names."""
    place, colon, name = spec.rpartition(":")
    if not colon or not place or not name:
        raise SettingsError(f"{spec}: wanted FILE.py:FUNCTION or MODULE:FUNCTION, such as model.py:make_model")
    try:
        module = _from_file(Path(place)) if place.endswith(".py") else _from_path(place)
    except SettingsError:
        raise
    except Exception as error:
        raise SettingsError(f"{spec}: {place} cannot be imported: {type(error).__name__}: {error}") from error
    if not callable(getattr(module, name, None)):
        there = [other for other, value in vars(module).items() if inspect.isfunction(value)]
        found = f" Functions there: {', '.join(there)}" if there else ""
        raise SettingsError(f"{spec}: {place} has no function {name}.{found}")
    return getattr(module, name)


def _from_file(path: Path) -> Any:
    if not path.is_file():
        raise SettingsError(f"{path}: an existing file wanted, there is none")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)
    sys.path.insert(0, str(path.resolve().parent))  # files beside it can be imported
    spec.loader.exec_module(module)
    return module


def _from_path(name: str) -> Any:
    sys.path.insert(0, "")  # the current folder, as with python -m
    return importlib.import_module(name)


def _described(made: Any) -> str:
    length = f" of length {len(made)}" if isinstance(made, tuple | list) else ""
    return f"{type(made).__name__}{length}"
