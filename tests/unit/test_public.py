"""The public names, what importing them loads, and who imports whom."""

from __future__ import annotations

import ast
import json
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
import modelzoo_runner.api.sweep, modelzoo_runner.machine.placement
from modelzoo_runner import *
print(*(name for name, value in list(globals().items()) if isinstance(value, ModuleType)))
"""
    assert set(in_fresh_interpreter(code).split()) <= {"modelzoo_runner", "__builtins__"}


def loading(names: list[str], packages: tuple[str, ...]) -> list[list[str]]:
    """Which of the modules, imported one after the other in one process, loads which package."""
    code = f"""
import importlib, json, sys
found = []
for name in {names!r}:
    before = set(sys.modules)
    importlib.import_module(name)
    found += [[name, each] for each in {packages!r} if each in set(sys.modules) - before]
print(json.dumps(found))
"""
    return list(json.loads(in_fresh_interpreter(code)))


def test_no_module_loads_tensorflow_or_numpy_by_being_imported() -> None:
    names = [
        ".".join(("modelzoo_runner", *path.relative_to(SOURCE).with_suffix("").parts))
        for path in modules()
        if path.stem not in ("__init__", "__main__")
    ]
    assert len(names) > 100
    assert loading(names, ("tensorflow", "numpy")) == []


def test_the_check_of_all_modules_can_fail() -> None:
    found = loading(["json", "numpy.linalg", "numpy"], ("tensorflow", "numpy"))
    assert found == [["numpy.linalg", "numpy"]]


# The rooms from the ground up: a room may import those above it in this list, and itself.
ROOMS = (
    ("errors", "_version"),
    ("values",),
    ("machine", "storage", "data", "metrics", "results"),
    ("backends",),
    ("int8",),
    ("tasks",),
    ("execution",),
    ("planning",),
    ("scale",),
    ("api",),
    ("legacy",),
    ("__init__", "cli"),
    ("__main__",),
)
FLOOR = {room: floor for floor, rooms in enumerate(ROOMS) for room in rooms}


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
                found.add((inner if is_module or is_package else base) or "__init__")
    return found


def test_every_module_is_in_a_room() -> None:
    there = {path.relative_to(SOURCE).parts[0].removesuffix(".py") for path in modules()}
    assert there == set(FLOOR)


def modules() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_go_one_way(path: Path) -> None:
    room = path.relative_to(SOURCE).with_suffix("").parts[0]
    for imported in imports(path):
        other = imported.split(".")[0]
        assert other == room or FLOOR[other] < FLOOR[room], f"{room} imports {imported}"
