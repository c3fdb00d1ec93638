"""Paired scores: McNemar's test and the interval of the difference."""

from __future__ import annotations

from pathlib import Path

import pytest
from results_made import accuracy_result, plan
from scipy.stats import binomtest

from modelzoo_runner import compare
from modelzoo_runner.errors import ResultError
from modelzoo_runner.results import paired


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (1, 9), (30, 12), (5, 5), (0, 600)])
def test_mcnemar_is_the_exact_binomial_test(gained: int, lost: int) -> None:
    expected = binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert paired.mcnemar(gained, lost) == pytest.approx(expected, rel=1e-6, abs=1e-100)


def test_the_interval_is_agresti_and_mins() -> None:
    # b = 6, c = 10 of 100: (6.5 - 10.5) / 102 +- 1.96 sqrt(17 - 16 / 102) / 102
    low, high = paired.paired_interval(6, 10, 100)
    assert (low, high) == (pytest.approx(-0.11807, abs=1e-4), pytest.approx(0.03964, abs=1e-4))


def predictions(path: Path, right: str) -> Path:
    """A file with an example for each letter of `right`: "1" right, "5" among five, "0" wrong."""
    lines = ["filename,label,prediction,top5"]
    for number, each in enumerate(right):
        best = 7 if each == "1" else 1
        others = "2 7 3" if each == "5" else "2 4 3"
        lines.append(f"{number}.JPEG,7,{best},{best} {others}")
    path.write_text("\n".join(lines) + "\n")
    return path


def test_two_runs_with_predictions_are_tested(tmp_path: Path) -> None:
    before = predictions(tmp_path / "a.csv", "1" * 40 + "0" * 20)
    after = predictions(tmp_path / "b.csv", "1" * 25 + "0" * 35)
    first, second = (
        accuracy_result(
            {"top1": hits, "top5": hits},
            60,
            plan=plan(kind="accuracy", predictions=str(path)),
        )
        for hits, path in ((40, before), (25, after))
    )
    top1, top5 = compare(first, second).paired
    assert (top1.gained, top1.lost, top1.verdict) == (0, 15, "worse")
    assert top1.difference == pytest.approx(-0.25) and top1.interval[1] < 0
    assert top5.name == "top5"
    assert "McNemar p = 6.1e-05" in str(compare(first, second))


def test_files_that_are_not_those_of_the_runs_are_not_used(tmp_path: Path) -> None:
    path = str(predictions(tmp_path / "a.csv", "1" * 10))
    with_file = plan(kind="accuracy", predictions=path)
    other = accuracy_result({"top1": 3, "top5": 3}, 10, plan=with_file)
    same = accuracy_result({"top1": 10, "top5": 10}, 10, plan=with_file)
    gone = accuracy_result({"top1": 3}, 10, plan=plan(kind="accuracy", predictions="/none.csv"))
    for each in (other, gone):
        assert compare(same, each).paired == ()


def test_other_examples_are_refused(tmp_path: Path) -> None:
    few = paired.read_hits(predictions(tmp_path / "a.csv", "11"))
    many = paired.read_hits(predictions(tmp_path / "b.csv", "111"))
    with pytest.raises(ResultError, match="1 examples are in one of the two only"):
        paired.of_hits(few, many)


def test_top5_counts_any_of_five(tmp_path: Path) -> None:
    hits = paired.read_hits(predictions(tmp_path / "a.csv", "150"))
    assert list(hits["top1"].values()) == [True, False, False]
    assert list(hits["top5"].values()) == [True, True, False]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no predictions"),
        ("a,b\n1,2\n", "can't be read as predictions"),
        ("filename,label,prediction,top5\n", "holds no predictions"),
        ("filename,label,prediction,top5\nx,1\n", "can't be read as predictions"),
        ("filename,label,prediction,top5\nx,1,1,1\nx,1,1,1\n", "line 3: x is there twice"),
        ("\0", "holds no predictions|can't be read"),
    ],
)
def test_a_file_that_is_something_else(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(ResultError, match=said):
        paired.read_hits(path)
