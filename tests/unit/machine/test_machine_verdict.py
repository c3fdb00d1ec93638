import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelzoo_runner.machine.interference import Counters, Window
from modelzoo_runner.machine.verdict import SlowStep, between_windows, judge, slow_steps

STEADY = [0.100 + 0.001 * (index % 5) for index in range(50)]


def counted(**more):
    """Nothing disturbed 10 seconds on 4 CPUs."""
    quiet = {
        "wall_seconds": 10.0,
        "cpus": 4,
        "cpu_seconds": 39.0,
        "involuntary_switches": 0,
        "voluntary_switches": 100,
        "major_faults": 0,
        "migrations": 3,
        "steal_seconds": 0.0,
        "others_seconds": 0.0,
        "throttled_periods": 0,
        "throttled_seconds": 0.0,
        "mhz": (3000.0, 3000.0),
    }
    return Counters(**(quiet | more))


def test_a_quiet_run_of_even_steps_is_valid():
    judged = judge(STEADY, counted())
    assert (judged.verdict, judged.causes, judged.slow_steps) == ("valid", (), ())


def test_what_can_not_be_read_is_not_held_against_a_run():
    unknown = dict.fromkeys(
        (
            "migrations",
            "steal_seconds",
            "others_seconds",
            "throttled_periods",
            "throttled_seconds",
            "mhz",
        )
    )
    assert judge(STEADY, counted(**unknown)).verdict == "valid"


CAUSES = [
    ({"slept_seconds": 30.0}, "invalid", "suspended for 30.0 s"),
    ({"cpus_lost": (2, 3)}, "invalid", "CPU 2-3 became unavailable"),
    ({"throttled_periods": 40, "throttled_seconds": 2.0}, "invalid", "quota .* 2.0 s of 10.0"),
    ({"throttled_periods": 1, "throttled_seconds": 0.05}, "noisy", "quota .* in 1 periods"),
    ({"others_seconds": 12.0}, "invalid", "other processes took 30 %"),
    ({"others_seconds": 4.0}, "noisy", "other processes took 10 %"),
    ({"others_seconds": 2.0}, "valid", None),
    ({"steal_seconds": 8.0}, "invalid", "hypervisor took 20 %"),
    ({"steal_seconds": 0.8}, "noisy", "hypervisor took 2 %"),
    ({"steal_seconds": 0.4}, "valid", None),
    ({"major_faults": 101}, "noisy", "101 pages were read from disk"),
    ({"major_faults": 100}, "valid", None),
    ({"mhz": (2400.0, 3000.0)}, "noisy", "between 2400 and 3000 MHz"),
    ({"mhz": (2800.0, 3000.0)}, "valid", None),
]


@pytest.mark.parametrize(("more", "verdict", "cause"), CAUSES)
def test_causes_and_their_limits(more, verdict, cause):
    judged = judge(STEADY, counted(**more))
    assert judged.verdict == verdict
    assert len(judged.causes) == (cause is not None)
    assert cause is None or re.search(cause, judged.causes[0])


def test_the_worst_cause_comes_first():
    judged = judge(STEADY, counted(steal_seconds=0.8, slept_seconds=1.0))
    assert judged.verdict == "invalid"
    assert [cause.split()[1] for cause in judged.causes] == ["machine", "hypervisor"]


def test_steps_that_spread():
    judged = judge([0.1, 0.2] * 25, counted())
    assert judged.verdict == "noisy"
    (cause,) = judged.causes
    assert "spread by 34 % of their mean (limit 10 %)" in cause


def test_steps_that_drift():
    judged = judge([0.100 + 0.0003 * index for index in range(50)], counted())
    assert judged.verdict == "noisy"
    (cause,) = judged.causes
    assert "medians of 5 parts of the run differ by 12 % (limit 10 %)" in cause


def test_slow_steps_are_tied_to_what_coincided():
    seconds = list(STEADY)
    for index in (3, 25, 45):
        seconds[index] = 0.2
    switches = [2] * 50
    switches[3] = 40
    faults = [0] * 50
    faults[25] = 7
    windows = (
        Window(steps=20, steal=0.0, others=0.0, throttled_periods=0),
        Window(steps=20, steal=0.05, others=0.0, throttled_periods=0),
        Window(steps=10, steal=0.0, others=0.3, throttled_periods=2),
    )
    run = counted(step_switches=tuple(switches), step_faults=tuple(faults), windows=windows)
    assert slow_steps(seconds, run) == (
        SlowStep(step=3, seconds=0.2, causes=("CPU taken away",)),
        SlowStep(step=25, seconds=0.2, causes=("pages read from disk", "hypervisor")),
        SlowStep(step=45, seconds=0.2, causes=("CPU quota", "other processes")),
    )


def test_many_slow_steps_are_noise_and_the_common_cause_is_named():
    seconds = [0.12 if index % 10 == 0 else 0.1 for index in range(100)]
    windows = (Window(steps=100, others=0.1),)
    judged = judge(seconds, counted(windows=windows))
    (cause,) = judged.causes
    assert "10 of 100 steps" in cause and "all of them coincided with: other processes" in cause
    assert len(judged.slow_steps) == 10
    (cause,) = judge(seconds, counted()).causes
    assert "nothing that is counted coincided" in cause


def test_the_slowest_ten_are_listed():
    seconds = [0.1] * 200
    for index in range(12):
        seconds[index * 10] = 0.2 + 0.01 * index
    slowest = judge(seconds, counted()).slow_steps
    assert [each.step for each in slowest] == [110, 100, 90, 80, 70, 60, 50, 40, 30, 20]


def test_equal_steps_have_no_slow_ones():
    assert slow_steps([0.1] * 20 + [0.1000001], counted()) == ()


def test_too_few_steps_to_tell():
    assert judge([0.1], counted()).verdict == "valid"
    assert between_windows([1.0] * 19) is None
    assert between_windows([0.0] * 20) is None


def test_it_is_json():
    judged = judge([0.1] * 20 + [0.5], counted(slept_seconds=2.0))
    as_dict = judged.to_dict()
    assert json.loads(json.dumps(as_dict)) == as_dict
    assert as_dict["verdict"] == "invalid"
    assert as_dict["slow_steps"] == [{"step": 20, "seconds": 0.5, "causes": []}]


@given(
    seconds=st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=60),
    switches=st.lists(st.integers(0, 100), max_size=60),
    others=st.floats(0, 40) | st.none(),
)
def test_any_run_is_judged(seconds, switches, others):
    """A verdict without a cause is valid, any other has one; worse interference never helps."""
    run = counted(step_switches=tuple(switches), others_seconds=others)
    judged = judge(seconds, run)
    assert (judged.verdict == "valid") == (judged.causes == ())
    ranks = ("valid", "noisy", "invalid")
    worse = judge(seconds, counted(step_switches=tuple(switches), slept_seconds=5.0))
    assert ranks.index(worse.verdict) >= ranks.index(judged.verdict)
