"""Where graphs run that nobody knows: in a child, until one of their runs has ended well."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import fake_backend
import graphs_made
import numpy as np
import pytest
import tiny

from modelzoo_runner import GraphError, WorkerError, benchmark, quantize
from modelzoo_runner.execution import host, launch, listen, protocol, trust
from modelzoo_runner.values.plan import Plan

HOW: dict[str, Any] = {
    "steps": 3,
    "warmup_steps": 1,
    "num_inter_threads": 1,
    "num_intra_threads": len(os.sched_getaffinity(0)),
    "allocator": "system",
}
"""As `same_pools` has them."""

pytestmark = pytest.mark.usefixtures("same_pools")


@pytest.fixture
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MODELZOO_RUNNER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "ran"


def test_the_first_run_is_a_child_and_the_next_is_not(tmp_path: Path, records: Path) -> None:
    graph = tiny.classifier(tmp_path / "graph.pb")
    first = benchmark(graph, **HOW)
    assert (first.observed.host, first.observed.host_reason) == ("child", trust.UNKNOWN)
    second = benchmark(graph, **HOW)
    assert second.observed.host == "process"
    (record,) = records.iterdir()
    assert records.stat().st_mode & 0o777 == 0o700 and record.stat().st_size == 0
    # The bytes count, not the path.
    graph.write_bytes(tiny.classifier(tmp_path / "other.pb", classes=10).read_bytes())
    assert host.why_not_here(second.plan) is None
    assert benchmark(graph, **HOW).observed.host == "child"


@pytest.fixture
def plan(tmp_path: Path, fakes: None, records: Path) -> Plan:
    return benchmark(fake_backend.write(tmp_path / "m.fake"), steps=2, isolation="none").plan


@pytest.mark.parametrize(
    "spoil",
    [
        lambda record: record.parent.chmod(0o770),
        lambda record: record.chmod(0o666),
        lambda record: (record.unlink(), record.symlink_to("/etc/passwd")),
        lambda record: (record.parent.rename(record.parents[1] / "r"), _link(record.parent)),
        lambda record: record.unlink(),
    ],
    ids=["folder", "file", "link", "linked folder", "none"],
)
def test_a_record_that_somebody_else_could_have_made_is_not_believed(
    plan: Plan, records: Path, spoil: Any
) -> None:
    plan = replace(plan, isolation="auto")
    assert host.why_not_here(plan) is None
    (record,) = records.iterdir()
    spoil(record)
    assert host.why_not_here(plan) == trust.UNKNOWN


def _link(folder: Path) -> None:
    folder.symlink_to(folder.with_name("r"))


def test_another_version_is_another_runtime(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust.facts, "tensorflow_version", lambda: "1.0")
    assert not trust.known(plan)


def test_graphs_built_here_are_known_and_where_nothing_can_be_kept_none_is(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = replace(plan.graph, source="random")
    monkeypatch.setenv("MODELZOO_RUNNER_CACHE", "/proc/nowhere")
    trust.remember(plan)
    assert not trust.known(plan)
    assert trust.known(replace(plan, graph=built))


def test_a_graph_that_ends_its_process_ends_no_other(
    fakes: None, tmp_path: Path, records: Path
) -> None:
    """As a number does that TensorFlow asserts on: it ends the process that opens the graph."""
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        image = tf.compat.v1.placeholder(tf.float32, [1, 4, 4, 3], name="input")
        # Not a constant that could be seen beforehand.
        side = tf.cast(tf.reduce_sum(tf.zeros([2]) + 2.0**29), tf.int32)
        tf.raw_ops.Conv2DBackpropInput(
            input_sizes=tf.stack([1, side, side, 3]),
            filter=tf.zeros([3, 3, 3, 3]),
            out_backprop=image,
            strides=[1, 1, 1, 1],
            padding="SAME",
            name="scores",
        )
    path = tmp_path / "graph.pb"
    path.write_bytes(graph.as_graph_def().SerializeToString())
    with pytest.raises((GraphError, WorkerError)):
        benchmark(path, batch_size=1, **HOW)
    assert not records.exists() or not list(records.iterdir())


def test_a_graph_is_tried_in_a_child_before_it_is_calibrated_here(
    tmp_path: Path, records: Path
) -> None:
    """A graph that the caller made is the caller's own."""
    graph_def = graphs_made.classifier()
    batches = [np.ones((2, 8, 8, 3), "f4")]
    quantize(graph_def, batches)
    assert not records.exists()
    path = graphs_made.save(graph_def, tmp_path / "graph.pb")
    quantize(path, batches, outputs={})
    assert len(list(records.iterdir())) == 1
    plan = benchmark(path, **HOW, isolation="none").plan
    assert trust.known(plan)


def test_a_graph_that_never_opens_is_given_up(
    fakes: None, tmp_path: Path, records: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listen, "OPENING_SECONDS", 1.0)
    monkeypatch.setattr(listen, "FIRST_STEP_SECONDS", 1.0)
    monkeypatch.setattr(listen, "MORE_SECONDS", 0.5)
    slow = fake_backend.write(tmp_path / "slow.fake", seconds=3600)
    before = time.monotonic()
    with pytest.raises(GraphError, match=r"it may never end.*timeout="):
        benchmark(slow, steps=1)
    assert time.monotonic() - before < 60
    with pytest.raises(GraphError, match="it may never end"):
        benchmark(slow, steps=1, instances="core", num_cores=1)


def test_a_conversion_that_never_ends_is_given_up_without_a_word_of_timeout(
    fakes: None, tmp_path: Path, records: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listen, "SECONDS_OF_WORK", 0.0)
    monkeypatch.setattr(listen, "MORE_TIMES", 0)
    plan = fake_backend.plan_for(tmp_path / "model.fake")
    with pytest.raises(GraphError, match=r"convert the graph.*longer than 0 s") as raised:
        launch.write(plan, protocol.CONVERT, tmp_path / "out")
    assert "timeout" not in str(raised.value)


def test_a_child_loads_nothing_from_the_current_folder(
    fakes: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, records: Path
) -> None:
    import sys

    model = fake_backend.write(tmp_path / "model.fake")
    for name in ("json", "signal", "numpy", "tensorflow", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text("open('loaded', 'w')\nraise SystemExit(3)\n")
    monkeypatch.chdir(tmp_path)
    # As it is in a prompt, with `python -m`, and in a script beside the model.
    monkeypatch.setattr(sys, "path", ["", str(tmp_path), *sys.path])
    assert benchmark(model, steps=2, isolation="child").examples == 2
    assert not (tmp_path / "loaded").exists()


def test_a_child_gets_the_variables_that_runs_read_and_no_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from modelzoo_runner.machine import environment

    kept = {
        "HOME": "/h",
        "LC_ALL": "C",
        "https_proxy": "p",
        "GOOGLE_APPLICATION_CREDENTIALS": "c",
        "OMP_NUM_THREADS": "2",
        "PYTHONHASHSEED": "0",
        "MODELZOO_RUNNER_CACHE": "/c",
    }
    left_out = {
        "PYTHONPATH": "/x",
        "PYTHONSTARTUP": "/x.py",
        "PYTHONWARNINGS": "error::x.Y",
        "PYTHONBREAKPOINT": "x.y",
        "BASH_ENV": "/x",
        "API_TOKEN": "secret",
    }
    assert environment.passed_on({**kept, **left_out}) == kept


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_worker_that_is_told_to_end_sends_what_it_has(
    fakes: None, tmp_path: Path, number: int, records: Path
) -> None:
    from modelzoo_runner import Interrupted
    from modelzoo_runner.execution.launch import noting
    from modelzoo_runner.values.context import Context

    model = fake_backend.write(tmp_path / "model.fake")
    plan = benchmark(model, steps=2, isolation="none").plan
    children: list[Any] = []

    def tell(what: str, done: int, total: int | None) -> None:
        if what == "steps" and done > 2:
            children[0].process.send_signal(number)

    with noting(children), pytest.raises(Interrupted) as caught:
        endless = replace(plan, steps=10**9, isolation="child")
        host.run(endless, Context(progress=tell))
    assert len(caught.value.result.step_seconds) > 2 and caught.value.result.interrupted
