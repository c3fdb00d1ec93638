"""The first impression: the result and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

RUN = """
from modelzoo_runner import benchmark
print(benchmark("mobilenet_v1", weights="random", batch_size=1, steps=2, isolation={isolation!r}))
import os
assert "TF_CPP_MIN_LOG_LEVEL" not in os.environ
"""


def run(code: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if "LOG_LEVEL" not in name}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**environment, **env},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("isolation", ["none", "child"])
def test_a_run_prints_nothing_to_standard_error(isolation: str, tmp_path: Path) -> None:
    # With an empty cache the graph is built here too.
    done = run(RUN.format(isolation=isolation), MODELZOO_RUNNER_CACHE=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("benchmark  mobilenet_v1 fp32, batch 1")


def test_the_users_own_level_counts() -> None:
    code = RUN.format(isolation="none").partition("import os")[0]
    assert "oneDNN" in run(code, TF_CPP_MIN_LOG_LEVEL="0").stderr
    # TensorFlow itself says so whatever the level is, until it is loaded.
    assert run(code, TF_CPP_MIN_LOG_LEVEL="3").stderr == ""


def test_what_others_print_meanwhile_is_kept_and_all_of_it_where_loading_fails() -> None:
    code = """
import os, sys, types
from modelzoo_runner.machine import runtime_log
class Loader:
    def create_module(self, spec): return None
    def exec_module(self, module):
        os.write(2, b"I0000 00:00:1.5 12 port.cc:153] oneDNN is on\\nsomebody else\\n")
        if sys.argv[1:] == ["fail"]: raise ImportError("no")
class Finder:
    def find_spec(self, name, path=None, target=None):
        import importlib.machinery
        return importlib.machinery.ModuleSpec(name, Loader()) if name == "tensorflow" else None
sys.meta_path.insert(0, Finder())
with runtime_log.held_back():
    try: import tensorflow
    except ImportError: pass
"""
    for argument, said in (("", "somebody else\n"), ("fail", "I0000")):
        done = run(code, argument)
        assert done.stderr.startswith(said) and done.stderr.endswith("somebody else\n")


def test_a_closed_standard_error_is_no_obstacle() -> None:
    code = f"import os; os.close(2)\n{RUN.format(isolation='none')}"
    assert "examples/s" in run(code).stdout


def test_a_graph_that_is_kept_open_says_nothing_at_the_end() -> None:
    """Also where the modules that it needs go before it."""
    code = f"{RUN.format(isolation='none')}\nimport gc; gc.disable()"
    done = run(code)
    assert (done.returncode, done.stderr) == (0, "")


def test_keras_is_loaded_when_it_is_used_and_not_before() -> None:
    code = """
import sys
from modelzoo_runner.machine import runtime_log
with runtime_log.held_back():
    import tensorflow as tf
assert "keras" not in sys.modules
assert issubclass(tf.keras.optimizers.Adam, tf.keras.optimizers.Optimizer)
import keras
assert keras.optimizers.Adam is tf.optimizers.Adam
"""
    done = run(code)
    assert (done.returncode, done.stderr) == (0, "")
