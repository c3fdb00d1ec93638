"""What type checkers say of a user's script with every public name in it."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typed_user

import modelzoo_runner

SCRIPT = Path(typed_user.__file__)
SOURCE = Path(modelzoo_runner.__file__).parents[1]

# The library's own modules are held to more by its own configuration.
MYPY = ("--strict", "--follow-imports", "silent", "--config-file", os.devnull)

SLIP = """
from modelzoo_runner import BenchmarkResult, benchmark, load

benchmark("resnet50", precision="float32")
load("one.json", BenchmarkResult).scores
"""


def test_every_public_name_is_in_it() -> None:
    tree = ast.parse(SCRIPT.read_text(encoding="utf-8"))
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert {*modelzoo_runner.__all__} <= names


@pytest.mark.parametrize("checker", ["mypy", "basedpyright"])
def test_it_passes_and_a_slip_does_not(checker: str, tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name(checker))]
    if not Path(*command).exists():
        pytest.skip(f"{checker} isn't installed")
    if checker == "mypy":
        command += MYPY
    else:
        command += ["--pythonpath", sys.executable]
        settings = {"typeCheckingMode": "strict", "extraPaths": [str(SOURCE)]}
        (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    shutil.copy(SCRIPT, tmp_path / "user.py")
    (tmp_path / "slip.py").write_text(SLIP)
    done = subprocess.run(
        [*command, "user.py", "slip.py"],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout.splitlines()
    assert not [line for line in said if "user.py:" in line]
    for number, word in ((4, "float32"), (5, "scores")):
        assert [line for line in said if f"slip.py:{number}:" in line and word in line], done
