"""A runtime and a task are a module each and a line in a table: nothing else knows them."""

from __future__ import annotations

from pathlib import Path

import fake_backend
import pytest

from modelzoo_runner import Preset, accuracy, benchmark, load
from modelzoo_runner.backends import base as backends
from modelzoo_runner.errors import RequestError
from modelzoo_runner.tasks import base as tasks
from modelzoo_runner.values.preset import ROLES, Graph

pytestmark = pytest.mark.usefixtures("fakes")


def test_a_runtime_in_the_table_runs_benchmark(tmp_path: Path) -> None:
    model = fake_backend.write(tmp_path / "model.fake")
    result = benchmark(model, steps=3, warmup_steps=1, isolation="none", num_intra_threads=1)
    assert len(result.step_seconds) == 3 and min(result.step_seconds) >= 0.001
    assert result.plan.runtime == "fake"
    assert result.observed.machine["software"]["runtime"] == {"name": "fake", "version": "1"}
    assert "compile" in result.observed.setup_seconds
    assert load(result.save(tmp_path / "result.json")) == result


def test_a_task_in_the_table_runs_accuracy(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"{number}.txt").write_text(str(number))
    model = fake_backend.write(tmp_path / "model.fake", outputs=["mean"])
    outputs = {"mean": "mean:0"}
    preset = Preset(
        name="mine", task="mean", graph={"fp32": Graph(input="input:0", outputs=outputs)}
    )
    result = accuracy(preset, weights=model, data_location=tmp_path, batch_size=2)
    assert result.scores == {"mean": 2} and result.examples == 5
    assert result.plan.task == "mean"


def test_another_distributions_are_found_by_their_entry_points(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(backends.BACKENDS, "fake")
    monkeypatch.delitem(tasks.TASKS, "mean")
    assert backends.find("fake").NAME == "fake"
    assert backends.name_for("model.fake") == "fake"
    assert backends.name_for("model.onnx") == "onnxruntime"
    assert backends.name_for("model.pb") == backends.name_for("folder") == "tensorflow"
    assert tasks.find("mean").DATA_FORM == "text files of numbers"


def test_what_there_is_not_is_an_error_with_the_near_names() -> None:
    with pytest.raises(RequestError, match=r"tensorflaw.*tensorflow"):
        backends.find("tensorflaw")
    with pytest.raises(RequestError, match=r"detecton.*detection"):
        tasks.find("detecton")


def test_every_task_has_its_roles_and_every_runtime_its_name() -> None:
    assert set(tasks.TASKS) == set(ROLES)
    for name in backends.BACKENDS:
        assert name == backends.find(name).NAME
