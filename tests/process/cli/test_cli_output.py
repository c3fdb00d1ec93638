"""A result survives whatever becomes of standard output and standard error."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from results_made import benchmark_result

from modelzoo_runner import load

RESULT = benchmark_result((0.0000123, 0.0000125, 0.0000121), warnings=("a warning",))

CODE = """
import sys
import modelzoo_runner
from modelzoo_runner import load
from modelzoo_runner.cli import main
result = load(sys.argv[1])
modelzoo_runner.benchmark = lambda *_, **__: result
sys.exit(main.main(["benchmark", "resnet50", *sys.argv[2:]]))
"""
"""The command with the result of a run, without the run."""


@pytest.fixture
def run(tmp_path: Path) -> Any:
    made = RESULT.save(tmp_path / "made.json")

    def start(*options: str, **how: Any) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-c", CODE, str(made), *options]
        return subprocess.run(command, check=False, timeout=60, **how)

    return start


@pytest.mark.parametrize("how", ["closed pipe", "full", "closed", "ascii"])
def test_the_file_is_written_whatever_standard_output_is(
    how: str, run: Any, tmp_path: Path
) -> None:
    path = tmp_path / "result.json"
    if how == "closed pipe":
        read, write = os.pipe()
        os.close(read)
        done = run("--json", str(path), stdout=write, stderr=subprocess.PIPE)
        os.close(write)
    elif how == "full":
        with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device
            done = run("--json", str(path), stdout=full, stderr=subprocess.PIPE)
    elif how == "closed":
        # A shell's `>&-`.
        done = run("--json", str(path), preexec_fn=lambda: os.close(1), stderr=subprocess.PIPE)
    else:
        environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
        done = run("--json", str(path), env=environment, stdout=subprocess.PIPE)
        assert done.returncode == 0 and b"12.3" in done.stdout and done.stdout.isascii()
    assert load(path) == RESULT
    assert how == "ascii" or b"Traceback" not in done.stderr


def test_the_page_is_printed_with_standard_error_closed(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    done = run("--json", str(path), preexec_fn=lambda: os.close(2), stdout=subprocess.PIPE)
    assert load(path) == RESULT and b"benchmark  resnet50" in done.stdout


def test_a_dash_and_the_device_are_standard_output(run: Any, tmp_path: Path) -> None:
    was = Path("/dev/stdout").readlink()
    done = run("--json", "-", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert json.loads(done.stdout)["kind"] == "benchmark"
    assert b"benchmark  resnet50" in done.stderr
    assert not (tmp_path / "-").exists() and not Path("-").exists()
    done = run("--json", "/dev/stdout", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    record, end = json.JSONDecoder().raw_decode(done.stdout.decode())
    assert record["kind"] == "benchmark" and "benchmark  resnet50" in done.stdout.decode()[end:]
    assert Path("/dev/stdout").readlink() == was


def test_into_a_file_both_are_in_it(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    with path.open("wb") as out:
        run("--json", "/dev/stdout", stdout=out, stderr=subprocess.PIPE)
    said = path.read_text()
    record, end = json.JSONDecoder().raw_decode(said)
    assert record["kind"] == "benchmark" and "benchmark  resnet50" in said[end:]


def test_a_file_that_cannot_be_written_costs_nothing_else(run: Any, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    good = tmp_path / "good.csv"
    done = run(
        "--json", str(folder), "--csv", str(good), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    # Known before the run begins: nothing was run.
    assert done.returncode == 2 and b"it is a folder" in done.stderr and not good.exists()
    done = run("--json", "/dev/full", "--csv", str(good), stdout=subprocess.PIPE)
    assert done.returncode == 1 and b"benchmark  resnet50" in done.stdout
    assert b"resnet50" in good.read_bytes()
