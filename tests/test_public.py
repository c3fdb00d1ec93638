"""The public names, what importing them loads, and who imports whom."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import modelzoo_runner

SOURCE = Path(modelzoo_runner.__file__).parent

HEAVY = ("tensorflow", "numpy", "google.cloud", "gcsfs", "hotcoco", "PIL", "rich", "tqdm")


def in_fresh_interpreter(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_all_is_sorted_and_exact() -> None:
    names = modelzoo_runner.__all__
    assert list(names) == sorted(names) == dir(modelzoo_runner)
    tree = ast.parse((SOURCE / "__init__.py").read_text(encoding="utf-8"))
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("modelzoo_runner")
        for alias in node.names
    }
    assert imported == set(names)


def test_an_unknown_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'bench'"):
        _ = modelzoo_runner.bench  # type: ignore[attr-defined]


def test_every_public_name_says_what_it_is() -> None:
    for name in modelzoo_runner.__all__:
        assert name == "__version__" or getattr(modelzoo_runner, name).__doc__, name


def loaded_by(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*(m for m in {HEAVY!r} if m in sys.modules))"
    return set(in_fresh_interpreter(code).split())


def test_importing_loads_nothing_heavy() -> None:
    assert loaded_by("import modelzoo_runner") == set()


def test_the_check_above_can_fail() -> None:
    assert loaded_by("import numpy") == {"numpy"}


@pytest.mark.parametrize("first", ["", "import modelzoo_runner.machine.topology"])
def test_no_public_name_is_a_module_of_that_name(first: str) -> None:
    code = f"""
{first}
from types import ModuleType
import modelzoo_runner.sweep, modelzoo_runner.machine.placement
from modelzoo_runner import *
print(*(name for name, value in list(globals().items()) if isinstance(value, ModuleType)))
"""
    assert set(in_fresh_interpreter(code).split()) <= {"modelzoo_runner", "__builtins__"}


@pytest.mark.parametrize("module", sorted(p.stem for p in SOURCE.rglob("*.py") if p.stem[0] != "_"))
def test_no_module_loads_tensorflow_or_numpy_by_being_imported(module: str) -> None:
    paths = list(SOURCE.rglob(f"{module}.py"))
    dotted = [
        ".".join(("modelzoo_runner", *p.relative_to(SOURCE).with_suffix("").parts)) for p in paths
    ]
    found = loaded_by("\n".join(f"import {name}" for name in dotted))
    assert found & {"tensorflow", "numpy"} == set()


# Which rooms a room may import. Values stand below all of them.
VALUES = {
    "_version",
    "arguments",
    "atomic",
    "codec",
    "errors",
    "graph_files",
    "parameters",
    "plan",
    "preset",
    "requested",
    "resolve",
    "coco_categories",
    "results.result",
    "results.saved",
    "results.stats",
    "results.sweep",
}
LEAVES = {"graphs", "data", "machine", "metrics", "storage", "results"}
ALLOWED = {
    **{leaf: {leaf} for leaf in LEAVES},
    "execution": LEAVES | {"execution"},
    "random_graph": LEAVES | {"execution.progress", "execution.launch"},
    "sources": LEAVES | {"execution.progress", "random_graph"},
    "places": {"machine"},
    "planning": {"sources", "places", "execution.progress"},
    "scale": LEAVES | {"execution", "planning", "scale", "pipeline", "recommended"},
    "api": {"planning", "scale", "execution", "machine", "results"},
    "detection": {"data", "metrics"},
    "options": set(),
}
TOP = {
    "__init__",
    "__main__",
    "calibration",
    "calls",
    "cli",
    "cli_int8",
    "cli_original",
    "cli_storage",
    "detection",
    "launch_command",
    "model_args",
    "original",
    "pipeline",
    "readiness",
    "recommended",
    "sweep",
}


def imports(path: Path) -> set[str]:
    """The modules of the package that a file imports, without the package's own name."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("modelzoo_runner"):
            base = (node.module or "").removeprefix("modelzoo_runner").lstrip(".")
            for alias in node.names:
                inner = f"{base}.{alias.name}".lstrip(".")
                is_module = (SOURCE / (inner.replace(".", "/") + ".py")).exists()
                is_package = (SOURCE / inner.replace(".", "/")).is_dir()
                found.add(inner if is_module or is_package else base)
    return found


@pytest.mark.parametrize(
    "path", sorted(SOURCE.rglob("*.py")), ids=lambda p: str(p.relative_to(SOURCE))
)
def test_imports_go_one_way(path: Path) -> None:
    name = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
    room = name.split(".")[0]
    if room in TOP:
        return
    for imported in imports(path):
        if imported in VALUES:
            continue
        assert name not in VALUES or imported.startswith("results."), f"{name} imports {imported}"
        allowed = ALLOWED.get(room, set())
        assert imported in allowed or imported.split(".")[0] in allowed, (
            f"{name} imports {imported}"
        )
