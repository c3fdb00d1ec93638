"""compare(): the order of its arguments, what it needs for a verdict, what it refuses."""

from __future__ import annotations

import dataclasses
import random

import pytest
from results_made import (
    MACHINE,
    PLAN,
    accuracy_result,
    benchmark_result,
    observed,
    of_processes,
    plan,
)

from modelzoo_runner import BenchmarkResult, Failure, SweepResult, compare
from modelzoo_runner.errors import ResultError

BEFORE = of_processes(0.100, 0.101, 0.099, 0.102, 0.100)
AFTER = of_processes(0.050, 0.0505, 0.0495, 0.051, 0.050)


def test_before_and_after_reads_forwards() -> None:
    """A change that made it faster is "faster", with the factor and both numbers and units."""
    found = compare(BEFORE, AFTER)
    assert found.verdict == "faster" and found.ratio == pytest.approx(2, rel=0.01)
    assert "2x faster" in str(found) and str(found).splitlines()[0] in repr(found)
    assert "reference" in str(found) and "changed" in str(found)
    assert "39.84 examples/s" in str(found) and "79.69 examples/s" in str(found)
    assert compare(AFTER, BEFORE).verdict == "slower"
    assert "2x slower" in str(compare(AFTER, BEFORE))


def test_precisions_are_named() -> None:
    int8 = of_processes(0.035, 0.0351, 0.0349, plan=plan(precision="int8"))
    found = compare(BEFORE, int8)
    first = str(found).splitlines()[0]
    assert "int8" in first and "against" in first and "fp32" in first and "2.87x faster" in first


def test_single_processes_are_inconclusive_and_it_says_what_to_do() -> None:
    found = compare(benchmark_result([0.1] * 50), benchmark_result([0.05] * 50))
    assert found.verdict == "inconclusive" and found.ratio == pytest.approx(2)
    (said,) = found.obstacles
    assert "processes=5" in said and "ab_test" in said and said in str(found)


def test_a_single_process_against_several_borrows_their_spread() -> None:
    assert compare(BEFORE, benchmark_result([0.05] * 50)).verdict == "faster"
    assert compare(BEFORE, benchmark_result([0.1005] * 50), min_effect=0.02).verdict == (
        "inconclusive"
    )


def test_the_same_within_the_smallest_effect_that_matters() -> None:
    again = of_processes(0.1001, 0.0999, 0.1005, 0.1, 0.1)
    assert compare(BEFORE, again).verdict == "same"
    assert compare(BEFORE, again, min_effect=0.001).verdict == "inconclusive"
    assert "same within 5 %" in str(compare(BEFORE, again))


@pytest.mark.parametrize("which", ["reference", "changed"])
def test_an_invalid_result_is_refused(which: str) -> None:
    invalid = of_processes(0.05, 0.0505, 0.0495, verdict="invalid")
    found = compare(invalid, BEFORE) if which == "reference" else compare(BEFORE, invalid)
    assert found.verdict == "inconclusive"
    (said,) = found.obstacles
    assert said.startswith(f"{which} is invalid (something else ran)")


def test_results_of_one_distribution_are_rarely_called_different() -> None:
    """The error of the interval is what it says, for a spread far above the smallest effect."""
    chance = random.Random(1)

    def drawn() -> list[float]:
        return [0.1 * chance.lognormvariate(0, 0.1) for _ in range(5)]

    verdicts = [
        compare(of_processes(*drawn()), of_processes(*drawn()), min_effect=0.0).verdict
        for _ in range(400)
    ]
    different = sum(each != "inconclusive" for each in verdicts)
    assert 8 <= different <= 36  # 5 % of 400 is 20; 99.9 % of all draws are within


def test_what_differs_is_named_also_of_machine_and_software() -> None:
    machine = {
        **MACHINE,
        "id": "f" * 16,
        "software": {"tensorflow": {"version": "2.15.0"}, "kernel": "6.1.0"},
        "process": {"env": {"OMP_NUM_THREADS": "4"}},
    }
    other = benchmark_result(
        plan=plan(batch_size=8),
        observed=observed(machine=machine, threads={"intra_found": 4}),
    )
    found = compare(benchmark_result(), other)
    assert found.differences == {
        "batch_size": (4, 8),
        "machine.machine": ("0123456789abcdef", "f" * 16),
        "machine.env.OMP_NUM_THREADS": ("2", "4"),
        "machine.tensorflow.version": ("2.21.0", "2.15.0"),
        "threads.intra_found": (None, 4),
    }
    assert "differs: batch_size: 4 -> 8" in str(found)


def test_a_variable_that_the_plans_set_is_told_once() -> None:
    def with_threads(count: str) -> BenchmarkResult:
        placement = dataclasses.replace(PLAN.placement, env={"OMP_NUM_THREADS": count})
        machine = {**MACHINE, "process": {"env": {"OMP_NUM_THREADS": count}}}
        return benchmark_result(plan=plan(placement=placement), observed=observed(machine=machine))

    found = compare(with_threads("1"), with_threads("2"))
    assert found.differences == {"placement.env.OMP_NUM_THREADS": ("1", "2")}


def test_scores_are_changed_minus_reference() -> None:
    found = compare(accuracy_result({"top1": 6}, 12), accuracy_result({"top1": 9}, 12))
    assert found.score_differences == {"top1": 0.25}
    assert "top1 +0.2500" in str(found)
    assert len(found.obstacles) == 1 and "benchmark()" in found.obstacles[0]
    page = found._repr_html_()
    assert "top1 +0.2500" in page and "inconclusive" not in page


def test_hashes_are_told_by_their_beginning() -> None:
    graphs = [dataclasses.replace(PLAN.graph, sha256=digit * 64) for digit in "ab"]
    both = [benchmark_result(plan=plan(graph=each)) for each in graphs]
    assert f"graph.sha256: {'a' * 12}... -> {'b' * 12}..." in str(compare(*both))


def test_two_kinds() -> None:
    with pytest.raises(ResultError, match="two of the same kind"):
        compare(benchmark_result(), accuracy_result({"top1": 1}, 2))


def test_something_else() -> None:
    with pytest.raises(ResultError, match=r"changed='result\.json'.*load\(\)"):
        compare(benchmark_result(), "result.json")  # type: ignore[call-overload]


def test_a_partial_result() -> None:
    with pytest.raises(ResultError, match="changed: the run was interrupted"):
        compare(benchmark_result(), benchmark_result(interrupted=True))


def test_html_is_escaped() -> None:
    other = benchmark_result(plan=plan(model="<b>"))
    assert "&lt;b&gt;" in compare(benchmark_result(), other)._repr_html_()


class TestSweeps:
    def test_row_by_row_whatever_the_order(self) -> None:
        small, large = plan(batch_size=1), plan(batch_size=32)
        before = SweepResult(
            (of_processes(0.1, 0.101, 0.099, plan=small), of_processes(1.0, 1.01, 1.02, plan=large))
        )
        after = SweepResult(
            (of_processes(2.0, 2.01, 2.02, plan=large), of_processes(0.05, 0.051, 0.05, plan=small))
        )
        found = compare(before, after)
        assert [each.verdict for each in found] == ["faster", "slower"]
        assert "1.99x slower" in str(found).splitlines()[2]
        assert "1.99x slower" in found._repr_html_()
        assert repr(found) == "<SweepComparison: 2 runs>"

    def test_runs_of_another_precision_are_paired_in_their_order(self) -> None:
        int8 = plan(precision="int8")
        before = SweepResult((of_processes(0.1, 0.1001, 0.0999),))
        after = SweepResult((of_processes(0.05, 0.0501, 0.05, plan=int8),))
        assert [each.verdict for each in compare(before, after)] == ["faster"]

    def test_what_only_one_has_is_named(self) -> None:
        failed = Failure(asked={"verb": "benchmark", "model": "rfcn"}, error="E", message="m")
        found = compare(SweepResult((BEFORE, failed)), SweepResult((AFTER,)))
        assert len(found) == 1
        assert found.missing == ("benchmark rfcn: failed in the reference",)
        assert "missing: benchmark rfcn" in str(found)
