"""An opened graph between two runs of a process."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import fake_backend
import pytest

from modelzoo_runner import BenchmarkResult, BindingError, RequestError, benchmark, release
from modelzoo_runner.execution import memory, opening

HOW: dict[str, Any] = {"steps": 2, "warmup_steps": 0, "batch_size": 2, "allocator": "system"}

pytestmark = pytest.mark.usefixtures("fakes")


@pytest.fixture
def model(fakes: None, tmp_path: Path) -> Path:
    return fake_backend.write(tmp_path / "model.fake")


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[fake_backend.Step]:
    """The steps that were closed."""
    found: list[fake_backend.Step] = []
    monkeypatch.setattr(fake_backend.Step, "close", lambda step: found.append(step))
    return found


def compiled(result: BenchmarkResult) -> bool:
    assert result.observed.host == "process"
    return "compile" in result.observed.setup_seconds


def test_the_next_run_finds_the_graph_open(model: Path, closed: list[fake_backend.Step]) -> None:
    first, second = benchmark(model, **HOW), benchmark(model, **{**HOW, "steps": 3})
    assert compiled(first) and not compiled(second)
    assert second.plan.graph == first.plan.graph and second.observed.graph == first.observed.graph
    assert len(second.step_seconds) == 3 and not closed
    release()
    assert len(closed) == 1
    assert compiled(benchmark(model, **HOW))


@pytest.mark.parametrize("change", [{"optimize": False}, {"allow_unsafe_ops": True}])
def test_a_graph_that_is_run_in_another_way_is_opened_anew(
    change: dict[str, Any], model: Path, closed: list[fake_backend.Step]
) -> None:
    benchmark(model, **HOW)
    assert compiled(benchmark(model, **HOW, **change)) and len(closed) == 1


def test_a_file_that_was_changed_is_opened_anew(
    model: Path, closed: list[fake_backend.Step]
) -> None:
    benchmark(model, **HOW)
    fake_backend.write(model, seconds=0.002)
    assert compiled(benchmark(model, **HOW)) and len(closed) == 1


def test_at_most_one_graph_stays_open(tmp_path: Path, closed: list[fake_backend.Step]) -> None:
    for name in "abc":
        benchmark(fake_backend.write(tmp_path / f"{name}.fake", seconds=0.001), **HOW)
    assert len(closed) == 2 and len(opening._kept) == 1


def test_of_two_runs_at_once_one_graph_stays_open(
    tmp_path: Path, closed: list[fake_backend.Step]
) -> None:
    plan = fake_backend.plan_for(tmp_path / "model.fake")
    plan = dataclasses.replace(
        plan,
        graph=dataclasses.replace(plan.graph, sha256="0"),
        placement=dataclasses.replace(plan.placement, binding="none"),
    )
    with opening.opened(plan, keep=True), opening.opened(plan, keep=True):
        pass
    assert len(closed) == 1 and len(opening._kept) == 1


def test_of_a_run_that_failed_nothing_stays_open(
    model: Path, closed: list[fake_backend.Step]
) -> None:
    benchmark(model, **HOW)
    fake_backend.write(model, batch=3)
    with pytest.raises(RequestError, match="batch size of 3"):
        benchmark(model, **HOW)
    assert len(closed) == 2 and not opening._kept


def test_a_larger_batch_has_to_fit_in_memory_again(
    model: Path, closed: list[fake_backend.Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    benchmark(model, **HOW)
    asked: list[int] = []
    monkeypatch.setattr(memory, "require", lambda plan, model: asked.append(plan.batch_size))
    for batch_size in (1, 8, 4, 8):
        assert not compiled(benchmark(model, **{**HOW, "batch_size": batch_size}))
    assert asked == [8]

    def refuse(plan: object, model: object) -> None:
        raise BindingError("batch_size=16: the run needs more")

    monkeypatch.setattr(memory, "require", refuse)
    with pytest.raises(BindingError, match="batch_size=16"):
        benchmark(model, **{**HOW, "batch_size": 16})
    assert len(closed) == 1 and not opening._kept


def test_memory_that_a_kept_graph_takes_is_given_back_before_a_run_is_sent_away(
    model: Path,
    tmp_path: Path,
    closed: list[fake_backend.Step],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    benchmark(model, **HOW)
    monkeypatch.setattr(memory, "is_tight", lambda plan: not closed)
    other = benchmark(fake_backend.write(tmp_path / "other.fake", seconds=0.002), **HOW)
    assert other.observed.host == "process" and len(closed) == 1
