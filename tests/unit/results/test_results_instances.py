"""The time in which several instances ran, and what they did in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelzoo_runner.results import instances
from modelzoo_runner.results.instances import InstanceRecord


def record(
    start: float, steps: list[float], *, wait: float = 0.0, batch: int = 1
) -> InstanceRecord:
    starts = [start]
    for taken in steps[:-1]:
        starts.append(starts[-1] + taken + wait)
    return InstanceRecord(
        cpus=(0,),
        examples=batch * len(steps),
        step_starts=tuple(starts[: len(steps)]),
        step_seconds=tuple(steps),
        data_seconds=(wait,) * len(steps),
    )


def test_what_counts_is_from_the_last_start_to_the_first_end() -> None:
    early, late = record(0.0, [1.0] * 4), record(2.0, [1.0] * 4)
    assert instances.overlap([early, late]) == (2.0, 4.0)
    assert list(early.within((2.0, 4.0))) == [2, 3]
    assert list(late.within((2.0, 4.0))) == [0, 1]
    assert instances.throughputs([early, late]) == (1.0, 1.0)


def test_a_step_counts_by_the_part_that_lies_within() -> None:
    alone, beside = record(0.0, [2.0, 2.0], batch=8), record(1.0, [3.0], batch=6)
    assert instances.overlap([alone, beside]) == (1.0, 4.0)
    assert instances.throughputs([alone, beside]) == pytest.approx((4.0, 2.0))


def test_waits_for_data_count_end_to_end_only() -> None:
    one = record(0.0, [1.0, 1.0], wait=1.0)
    assert instances.throughputs([one]) == pytest.approx((1.0,))
    assert instances.throughputs([one], end_to_end=True) == pytest.approx((2 / 3,))


@pytest.mark.parametrize(
    "records",
    [[], [record(0.0, [1.0]), record(1.0, [1.0])], [record(0.0, [1.0]), record(0.0, [])]],
    ids=["none", "one after the other", "one without a step"],
)
def test_no_time_together(records: list[InstanceRecord]) -> None:
    assert instances.overlap(records) is None
    assert instances.throughputs(records) == (0.0,) * len(records)


RECORDS = st.lists(
    st.builds(
        record,
        st.floats(0, 5),
        st.lists(st.floats(0.01, 2), min_size=1, max_size=20),
        wait=st.floats(0, 0.5),
    ),
    min_size=1,
    max_size=4,
)


@given(RECORDS)
def test_what_counts_lies_within_every_instance(records: list[InstanceRecord]) -> None:
    window = instances.overlap(records)
    if window is None:
        return
    for each in records:
        assert each.window[0] <= window[0] < window[1] <= each.window[1]
        steps, seconds = instances.busy(each, window)
        assert 0 <= seconds <= window[1] - window[0] + 1e-9
        assert len(list(each.within(window))) <= steps + 1e-6 <= len(each.step_seconds) + 1e-5


@given(st.floats(0, 5), st.lists(st.floats(0.01, 2), min_size=1, max_size=20), st.integers(1, 64))
def test_alone_the_throughput_is_examples_over_the_sum_of_the_steps(
    start: float, steps: list[float], batch: int
) -> None:
    (found,) = instances.throughputs([record(start, steps, batch=batch)])
    assert found == pytest.approx(batch * len(steps) / sum(steps))
