"""The examples in the docstrings do what they say."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import modelzoo_runner

SOURCE = Path(modelzoo_runner.__file__).parent


@pytest.mark.parametrize(
    "path",
    [path for path in sorted(SOURCE.rglob("*.py")) if ">>> " in path.read_text(encoding="utf-8")],
    ids=lambda path: str(path.relative_to(SOURCE)),
)
def test_examples(path: Path) -> None:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    name = ".".join(("modelzoo_runner", *(part for part in parts if part != "__init__")))
    module = importlib.import_module(name)
    assert doctest.testmod(module).failed == 0
