"""The package as such: what an import costs, which way imports point, and the limits of the house style."""

import ast
import inspect
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

import wideflow

PACKAGE = Path(wideflow.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
# Reading order is import order: a part may import what stands to its left, and nothing else of wideflow.
ORDER = (
    "duals",
    "nn",
    "kernels",
    "dynamics",
    "finite",
    "beyond",
    "scale",
    "estimators",
    "compare",
    "diagnostics",
    "lecture",
    "cli",
)
LEAVES = ("datasets", "report")  # import no other part; open to every part to the right of `finite`
OPTIONAL = ("sklearn", "matplotlib", "jinja2", "typer", "rich", "pandas", "zarr", "dask", "PIL")
PRIVATE_JAX = ("jax._src", "jax.core", "jax.interpreters", "jaxlib")
# Each name is asked for as well: the top level may load it only then.
EVERY_PUBLIC_NAME = "import wideflow; [getattr(wideflow, n) for n in getattr(wideflow, '__all__', dir(wideflow))]"


def modules_after(statement: str) -> set[str]:
    """Names in sys.modules once a fresh interpreter has run the statement."""
    code = f"{statement}\nimport sys\nprint('MODULES', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rpartition("MODULES")[2].split())


def public_names() -> list[str]:
    names = getattr(wideflow, "__all__", None) or [name for name in dir(wideflow) if not name.startswith("_")]
    return [name for name in names if not isinstance(getattr(wideflow, name), types.ModuleType)]


def part_of(module: str) -> str:
    """The part of wideflow that an absolute module name belongs to; "" is the top level itself."""
    return [*module.split("."), ""][1]


def part_with(file: Path) -> str:
    """The part of wideflow that a file stands in."""
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_modules(file: Path, root: Path = PACKAGE) -> Iterator[tuple[int, str]]:
    """Line and absolute module name of every import in a file, those inside functions included."""
    module = [root.name, *file.relative_to(root).with_suffix("").parts]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = module[: -node.level] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{source}.{alias.name}") for alias in node.names)


def is_allowed(part: str, imported: str) -> bool:
    """Whether a part of wideflow may import from another."""
    if part in ("", "__init__", "__main__", imported):
        return True
    if part in LEAVES or imported not in ORDER + LEAVES:
        return False
    if imported in LEAVES:
        return ORDER.index(part) > ORDER.index("finite")
    return ORDER.index(imported) < ORDER.index(part)


def attribute_chain(node: ast.Attribute) -> str:
    names: list[str] = []
    inner: ast.expr = node
    while isinstance(inner, ast.Attribute):
        names.append(inner.attr)
        inner = inner.value
    return ".".join([inner.id if isinstance(inner, ast.Name) else "?", *reversed(names)])


def test_import_loads_no_optional_package():
    roots = {module.partition(".")[0] for module in modules_after(EVERY_PUBLIC_NAME)}
    assert not roots & set(OPTIONAL)


def test_import_loads_no_scipy_beyond_what_jax_loads():
    extra = modules_after(EVERY_PUBLIC_NAME) - modules_after("import jax")
    assert not sorted(module for module in extra if module.partition(".")[0] == "scipy")


def test_importing_the_command_line_loads_no_jax():
    assert "jax" not in modules_after("import wideflow.cli")


def test_help_exits_with_zero_and_loads_no_jax():
    help_page = (
        "import sys\nfrom wideflow.cli import main\nsys.argv = ['wideflow', '--help']\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code, stop.code"
    )
    assert "jax" not in modules_after(help_page)


@pytest.mark.parametrize("options", [["--help"], ["compare", "--help"], ["diagnose", "--help"]], ids=" ".join)
def test_command_is_installed_and_helps(options):
    command = Path(sys.executable).with_name("wideflow")
    done = subprocess.run([command, *options], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert (options[0] if len(options) > 1 else "compare") in done.stdout


def test_every_part_has_a_place_in_the_order():
    parts = {file.relative_to(PACKAGE).parts[0].removesuffix(".py") for file in FILES} - {
        "__init__",
        "__main__",
    }
    assert parts <= set(ORDER + LEAVES)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_point_only_to_the_left(file):
    ours = [(line, name) for line, name in imported_modules(file) if name.partition(".")[0] == "wideflow"]
    ours = [(line, name) for line, name in ours if name != "wideflow.__version__"]
    wrong = [f"line {line}: {name}" for line, name in ours if not is_allowed(part_with(file), part_of(name))]
    assert not wrong


def test_import_direction_is_read_from_relative_and_nested_imports(tmp_path):
    file = tmp_path / "wideflow" / "nn" / "dense.py"
    file.parent.mkdir(parents=True)
    file.write_text("from ..kernels import plan\nfrom .layer import Layer\ndef f():\n    from wideflow import duals\n")
    names = [name for _, name in imported_modules(file, tmp_path / "wideflow")]
    assert [part_of(name) for name in sorted(names)] == ["duals", "kernels", "nn"]
    assert not is_allowed("nn", "kernels")
    assert is_allowed("nn", "duals")
    assert not is_allowed("nn", "")
    assert not is_allowed("finite", "datasets")
    assert is_allowed("compare", "datasets")
    assert not is_allowed("datasets", "nn")


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_only_the_public_interface_of_jax_is_used(file):
    tree = ast.parse(file.read_text(encoding="utf-8"))
    used = {name for _, name in imported_modules(file)}
    used |= {attribute_chain(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not [name for name in used for private in PRIVATE_JAX if f"{name}.".startswith(f"{private}.")]


def test_public_names_are_under_forty():
    assert len(public_names()) < 40


def test_public_names_have_docstrings():
    assert not [name for name in public_names() if not described(getattr(wideflow, name))]


def described(thing: object) -> bool:
    """Whether a public object has a docstring that somebody wrote (dataclasses write their signature)."""
    doc = inspect.getdoc(thing) or ""
    return bool(doc) and not doc.startswith(f"{getattr(thing, '__name__', '')}(")


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_file_and_its_functions_keep_the_limits_of_the_house(file):
    text = file.read_text(encoding="utf-8")
    functions = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert len(text.splitlines()) <= 400
    assert not [f.name for f in functions if (f.end_lineno or f.lineno) - f.lineno + 1 > 80]
    assert not [f.name for f in functions if f.args.kwarg], "no **kwargs in our own signatures"
