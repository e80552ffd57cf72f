"""Import direction, size ceilings, and docstrings that say what the signatures say."""

import ast
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import nbeats_basis as nb

ROOT = Path(nb.__file__).parent
MODULES = sorted(path for path in ROOT.rglob("*.py"))
LAYERS = {  # a module imports only from modules of lower rank
    "_version": 0,
    "checks": 0,
    "durations": 1,
    "members": 1,
    "student": 1,
    "gradients": 0,
    "mixture": 1,
    "optimizers": 1,
    "bases": 2,
    "regression": 2,
    "sparse": 3,
    "encoders": 2,
    "blocks": 4,
    "stacks": 5,
    "smoothing": 3,
    "smoothing_stack": 6,
    "sparse_stack": 6,
    "scaling": 4,
    "inputs": 5,
    "heads": 4,
    "losses": 5,
    "combination": 5,
    "network": 6,
    "ensemble": 8,
    "model": 7,
    "export": 9,
    "assembly": 9,
    "presets": 9,
    "fitting": 10,
    "weighting": 10,
    "atoms": 9,
    "prediction": 10,
    "persistence": 9,
    "calendars": 2,
    "frames": 2,
    "draws": 1,
    "replicas": 1,
    "training": 2,
    "panel": 3,
    "windows": 4,
    "observations": 4,
    "queries": 4,
    "plotting": 4,
    "datasets": 1,
    "synthetic": 1,
    "pursuit_forecaster": 10,
    "fitted": 11,
    "forecaster": 12,
    "__init__": 13,
}


def rank(path: Path) -> int:
    """Return the rank of a module."""
    return LAYERS[path.relative_to(ROOT).parts[0].removesuffix(".py")]


def imports(path: Path) -> set[str]:
    """Return the full names of modules that a file imports at its top."""
    names = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_one_way(path):
    for name in imports(path):
        parts = name.split(".")
        if (
            parts[0] == "nbeats_basis"
            and len(parts) > 1
            and parts[1] in LAYERS
            and path.name != "__init__.py"
        ):
            own = path.parent.name == parts[1]
            assert own or LAYERS[parts[1]] < rank(path), f"{path.name} imports {name}"
        if rank(path) <= LAYERS["model"] and path.stem not in (
            "panel",
            "frames",
            "windows",
            "queries",
            "calendars",
            "durations",
            "plotting",
            "datasets",
            "synthetic",
        ):
            assert parts[0] != "pandas", f"{path.name} imports pandas"
        assert parts[0] != "matplotlib" and parts[0] != "tensorflow_probability"
    if "tensorflow_probability" in path.read_text():
        assert path.stem == "heads"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_sizes_and_manners(path):
    text = path.read_text()
    assert text.count("\n") <= 400, "a module is at most 400 lines"
    for node in ast.walk(ast.parse(text)):
        assert not isinstance(node, ast.Assert), "errors of users are raised, not asserted"
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno <= 70, f"{node.name} is too long"
            for default in [*node.args.defaults, *node.args.kw_defaults]:
                assert not isinstance(default, (ast.List, ast.Dict, ast.Set, ast.Call)), (
                    f"{node.name}: mutable default"
                )
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            assert getattr(node.exc.func, "id", "") != "Exception"


def public_callables():
    """Yield every public class, method and function of the package."""
    for info in pkgutil.walk_packages([str(ROOT)], "nbeats_basis."):
        if info.name.startswith("nbeats_basis.data") and info.name != "nbeats_basis.datasets":
            continue
        module = importlib.import_module(info.name)
        for name, thing in vars(module).items():
            if name.startswith("_") or getattr(thing, "__module__", None) != module.__name__:
                continue
            if inspect.isfunction(thing) or inspect.isclass(thing):
                yield f"{module.__name__}.{name}", thing
            if inspect.isclass(thing):
                for method, function in vars(thing).items():
                    function = getattr(function, "__func__", function)
                    if inspect.isfunction(function) and not method.startswith("_"):
                        yield f"{module.__name__}.{name}.{method}", function


CALLABLES = dict(public_callables())


@pytest.mark.parametrize("name", CALLABLES)
def test_docstrings_equal_signatures(name):
    thing = CALLABLES[name]
    assert thing.__doc__, "a docstring"
    section = re.search(
        r"\n *(?:Args|Attributes):\n(.*?)(?=\n *\n *[A-Z][A-Za-z ]+:|\n *[A-Z][a-z]+:\n|\Z)",
        thing.__doc__,
        re.DOTALL,
    )
    if not section or "\n    Args:" not in thing.__doc__ and "\n        Args:" not in thing.__doc__:
        return
    lines = section.group(1).split("\n")
    margin = len(lines[0]) - len(lines[0].lstrip())
    entries, current = {}, None
    for line in lines:
        match = re.match(rf" {{{margin}}}(\**\w+): (.*)", line)
        if match:
            current = match.group(1).lstrip("*")
            entries[current] = match.group(2)
        elif current:
            entries[current] += " " + line.strip()
    signature = inspect.signature(thing)
    parameters = {
        k: p
        for k, p in signature.parameters.items()
        if k != "self" and p.kind is not p.VAR_KEYWORD or k in entries
    }
    parameters = {k: p for k, p in parameters.items() if k != "cls"}
    assert set(entries) == set(parameters), "documented arguments"
    for key, parameter in parameters.items():
        if parameter.default in (inspect.Parameter.empty, None) and "Defaults to" not in entries[key]:
            continue
        if parameter.kind is parameter.VAR_KEYWORD:
            continue
        stated = re.search(r"Defaults to (.+?)(?:, .*)?\.(?:\s|$)", entries[key] + " ")
        assert stated, f"{key}: state the default"
        full = re.search(r"Defaults to (.+)\.\s*$", entries[key].strip() + " ")
        text = full.group(1) if full else stated.group(1)
        default = (
            str(parameter.default) if not isinstance(parameter.default, str) else f'"{parameter.default}"'
        )
        assert text.startswith(default) or text.split(",")[0] == default, f"{key}: {text} is not {default}"


def test_constructors_are_small():
    for name, thing in CALLABLES.items():
        if inspect.isclass(thing) and not issubclass(thing, BaseException):
            own = [p for p in inspect.signature(thing).parameters.values() if p.kind is not p.VAR_KEYWORD]
            assert len(own) <= 11, name
