"""The result of an A/B test as a value: ratios, verdicts, JSON, text, a picture."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from results_made import ab_result, observed, plan

from modelzoo_runner import ABResult
from modelzoo_runner.errors import ResultError
from modelzoo_runner.results.ab import Round, Side, Turn


def test_the_second_is_judged_against_the_first() -> None:
    found = ab_result([1.0, 1.1], 30)
    assert found.verdict == "slower" and found.ratio == pytest.approx(1 / 1.1, rel=0.02)
    assert "10 % slower" in str(ab_result([1.0, 1.1], 30, spread=0.001))
    assert ab_result([1.0, 0.5], 30).verdict == "faster"
    assert ab_result([1.0, 1.0], 200, spread=0.005).verdict == "same"
    assert ab_result([1.0, 1.0], 1).verdict == "inconclusive"


def test_throughput_is_of_the_median_step_and_the_batch() -> None:
    found = ab_result([1.0, 2.0], 3, spread=0.0)
    assert found.throughput(0) == pytest.approx(400) and found.throughput(1) == pytest.approx(200)
    sides = (
        Side(name="a", plan=plan(batch_size=1), observed=observed()),
        Side(name="b", plan=plan(batch_size=8), observed=observed()),
    )
    turns = Turn(order=(0, 1), step_seconds=((0.1, 0.1, 9.0), (0.4,)))
    rounds = (Round(turns=(turns,)),)
    other = ab_result([1.0, 1.0], 1, sides=sides, rounds=rounds)
    assert other.throughputs(0) == [pytest.approx(10)] and other.ratio == pytest.approx(2)


def test_a_disturbed_turn_does_not_move_a_round() -> None:
    turns = [Turn(order=(0, 1), step_seconds=((0.1,), (0.2,))) for _ in range(8)]
    turns[2] = Turn(order=(0, 1), step_seconds=((0.1,), (9.0,)))
    found = ab_result([1.0, 1.0], 1, rounds=(Round(turns=tuple(turns)),))
    assert found.ratio == pytest.approx(0.5)
    assert found.throughputs(1) == [pytest.approx(found.sides[1].plan.batch_size / 0.2)]


def test_more_sides_have_wider_intervals() -> None:
    two, four = ab_result([1.0, 1.1], 12), ab_result([1.0, 1.1, 1.2, 1.3], 12)
    assert [each.verdict for each in four.comparisons] == ["slower"] * 3

    def width(interval: tuple[float, float] | None) -> float:
        assert interval is not None
        return interval[1] / interval[0]

    same_rounds = ab_result(
        [1.0, 1.1],
        12,
        rounds=tuple(
            Round(
                turns=tuple(Turn(order=(0, 1), step_seconds=t.step_seconds[:2]) for t in each.turns)
            )
            for each in four.rounds
        ),
    )
    assert width(four.interval) > width(same_rounds.interval)
    assert "Bonferroni" in str(four) and "Bonferroni" not in str(two)


def test_saved_and_loaded_with_a_summary(tmp_path: Path) -> None:
    found = ab_result([1.0, 1.1], 12, warnings=("a < b",))
    path = found.save(tmp_path / "ab.json")
    assert ABResult.load(path) == found
    record = json.loads(path.read_text())
    assert record["summary"]["derived"] is True
    assert record["summary"]["comparisons"]["b"]["verdict"] == "slower"
    assert len(record["rounds"]) == 12


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kind": "benchmark"}, "should be ab"),
        ({"schema": 9}, "schema=9"),
        ({"rounds": []}, "at least two sides and one round"),
        ({"rounds": [{"turns": [{"order": [0, 1], "step_seconds": [[0.1], []]}]}]}, r"rounds\[0\]"),
        ({"summary": {"throughput_examples_per_second": {}}}, "summary.throughput"),
        ({"looks": "many"}, "looks: 'many'"),
    ],
)
def test_a_file_that_is_something_else(
    changes: dict[str, object], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "ab.json"
    path.write_text(json.dumps({**ab_result([1.0, 1.1], 3).to_dict(), **changes}))
    with pytest.raises(ResultError, match=said):
        ABResult.load(path)


def test_what_differs_between_the_sides() -> None:
    sides = (
        Side(name="a", plan=plan(), observed=observed()),
        Side(name="b", plan=plan(optimize=False), observed=observed(), python="/other/python"),
    )
    found = ab_result([1.0, 1.0], 3, sides=sides)
    assert found.differences() == {"optimize": (True, False), "python": (None, "/other/python")}
    assert "b: differs: optimize: True -> False" in str(found)
    assert "nothing differs" in str(ab_result([1.0, 1.0], 3))


def test_html_is_escaped_and_has_every_verdict() -> None:
    markup = ab_result([1.0, 1.1, 0.9], 12, warnings=("a < b",))._repr_html_()
    assert "a &lt; b" in markup and "a < b" not in markup
    assert ">slower<" in markup and ">faster<" in markup


def test_a_single_round_draws_and_prints() -> None:
    found = ab_result([1.0, 1.0], 1, spread=0.0)
    assert "inconclusive" in str(found) and found.plot() is not None
