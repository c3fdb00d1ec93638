"""One process with a real TensorFlow in it, looked at from several sides."""

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec

import pytest

USABLE = sorted(os.sched_getaffinity(0))
CPU = USABLE[-1]

TENSORFLOW = """
import contextlib, json, os, signal, sys, threading

import tensorflow as tf

from modelzoo_runner.backends.tensorflow import backend
from modelzoo_runner.machine import binding, environment, facts, onednn
from modelzoo_runner.values.plan import Placement

cpu = max(os.sched_getaffinity(0))
asked = Placement(cpus=(cpu,), inter_threads=2, intra_threads=2, env={"OMP_NUM_THREADS": "2"})


def state():
    threads = {}
    for id in os.listdir("/proc/self/task"):
        with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
            threads[id] = sorted(os.sched_getaffinity(int(id)))
    return {"threads": threads, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS")}


def run(then=None):
    with environment.variables(asked.env), binding.bound(asked):
        config = tf.compat.v1.ConfigProto(
            inter_op_parallelism_threads=2, intra_op_parallelism_threads=2
        )
        with tf.Graph().as_default() as graph:
            product = tf.linalg.matmul(tf.ones([64, 64]), tf.ones([64, 64]))
        with tf.compat.v1.Session(graph=graph, config=config) as session:
            session.run(product)
            if then is not None:
                then()
        now = binding.read_back(asked)
        return {"found": now.summary(), "mismatches": now.warnings}


def fail():
    raise ValueError


said = {"too_late": binding.too_late(asked), "first": run(), "after_first": state()}
said["second"] = run()
for name, end, error in (
    ("failed", fail, ValueError),
    ("interrupted", lambda: signal.raise_signal(signal.SIGINT), KeyboardInterrupt),
):
    try:
        run(end)
    except error:
        said[name] = state()
said["same_policy"] = binding.too_late(asked)
elsewhere = Placement(cpus=(cpu,), numa_nodes=(0,), inter_threads=2, intra_threads=2)
said["other_policy"] = binding.too_late(elsewhere)
said["onednn"] = onednn.enabled()
other = {"TF_ENABLE_ONEDNN_OPTS": "0", "OMP_NUM_THREADS": "9"}
said["read_once"] = backend.variables_read(other, {})
said["openmp"] = environment.openmp_runtime()
said["software"] = facts.collect()["software"]
print("\\n" + json.dumps(said))
"""


@pytest.fixture(scope="module")
def said():
    """What the process found, and what oneDNN printed in it."""
    if find_spec("tensorflow") is None:
        pytest.skip("TensorFlow isn't installed")
    child = subprocess.run(
        [sys.executable, "-c", TENSORFLOW],
        env=os.environ
        | {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "1", "ONEDNN_VERBOSE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    *printed, answer = child.stdout.splitlines()
    return json.loads(answer) | {"printed": "\n".join(printed)}


def test_its_threads_are_where_they_were_asked_to_be(said):
    """The pools are made in the first run and moved in the second."""
    for turn in ("first", "second"):
        assert said[turn]["mismatches"] == []
        assert said[turn]["found"]["tf_Compute"]["count"] == 2
        assert said[turn]["found"]["tf_Compute"]["cpus"] == [str(CPU)]


def test_everything_is_as_before_after_a_run_a_failed_and_an_interrupted_one(said):
    # Of the threads that are there: those of a session may take a while to end.
    for after in ("after_first", "failed", "interrupted"):
        assert set(map(tuple, said[after]["threads"].values())) == {tuple(USABLE)}
        assert said[after]["OMP_NUM_THREADS"] == os.environ.get("OMP_NUM_THREADS")


def test_a_memory_policy_comes_too_late_for_its_threads(said):
    assert said["too_late"] is None
    assert said["same_policy"] is None
    if said["second"]["found"]["tf_Compute"]["memory"] == ["unknown"]:
        pytest.skip("this kernel doesn't tell the memory policy of a thread")
    assert said["other_policy"] == (
        "TensorFlow's threads were started here with the memory policy default, which can't become "
        "bind:0"
    )


def test_what_it_has_read_already(said):
    """OpenMP's variables only where there is an OpenMP runtime, as in Intel's builds."""
    assert said["onednn"] is True
    openmp = [] if said["openmp"] is None else ["OMP_NUM_THREADS"]
    assert said["read_once"] == [*openmp, "TF_ENABLE_ONEDNN_OPTS"]


ISA = {
    "sse41": "Intel SSE4.1",
    "avx": "Intel AVX",
    "avx2": "Intel AVX2",
    "avx2_vnni": "Intel AVX2 with Intel DL Boost",
    "avx512_core": "Intel AVX-512 with AVX512BW, AVX512VL, and AVX512DQ extensions",
    "avx512_core_vnni": "Intel AVX-512 with Intel DL Boost",
    "avx512_core_bf16": "Intel AVX-512 with Intel DL Boost and bfloat16 support",
    "avx512_core_fp16": "Intel AVX-512 with float16, Intel DL Boost and bfloat16 support",
    "avx512_core_amx": "Intel AVX-512 with float16, Intel DL Boost and bfloat16 support and "
    "Intel AMX with bfloat16 and 8-bit integer support",
}
"""How oneDNN 3 writes its levels."""


def test_onednn_itself_says_what_was_concluded(said):
    concluded = said["software"]["onednn"]
    assert re.findall(r"info,oneDNN v(\S+)", said["printed"]) == [concluded["version"]]
    if concluded["instruction_set"] not in ISA:
        pytest.skip(f"how oneDNN writes {concluded['instruction_set']} isn't known to this test")
    written = re.findall(r"info,cpu,isa:(.*\S)", said["printed"])
    assert written == [ISA[concluded["instruction_set"]]]
