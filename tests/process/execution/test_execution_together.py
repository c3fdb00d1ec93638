"""Several instances as one side of a measurement in turns, with a runtime that is a fake."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_backend import plan_for

from modelzoo_runner.errors import WorkerError
from modelzoo_runner.execution import together

pytestmark = pytest.mark.usefixtures("fakes")


def test_two_instances_take_half_as_long_for_a_batch(tmp_path: Path) -> None:
    alone = plan_for(tmp_path / "a.fake", seconds=0.05)
    both = dataclasses.replace(alone, instances=(alone.placement,) * 2)
    with together.opened([alone, both], ["alone", "both"], [1, 0]) as (one, two):
        assert [len(one.servers), len(two.servers)] == [1, 2]
        assert two.plan.instances == both.instances and two.plan.graph.outputs
        assert two.observed.host == "child" and two.warnings == ()
        (step,) = one.measure(seconds=0.01).step_seconds
        (of_both,) = two.measure(seconds=0.01).step_seconds
    assert of_both == pytest.approx(step / 2, rel=0.3)


def test_one_that_dies_ends_all_and_is_named(
    tmp_path: Path, children: Callable[[], list[int]]
) -> None:
    alone = plan_for(tmp_path / "a.fake")
    dead = plan_for(tmp_path / "b.fake", dies=2)
    dead = dataclasses.replace(dead, instances=(dead.placement,) * 2)
    with (
        pytest.raises(WorkerError, match="the child process of dead ended with exit code 9"),
        together.opened([alone, dead], ["alone", "dead"], [0, 1]),
    ):
        pass
    assert children() == []
