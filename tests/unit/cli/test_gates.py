"""Gates: their exit codes, and what is saved and printed all the same."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from results_made import accuracy_result, benchmark_result, of_processes, plan

from modelzoo_runner import SweepResult
from modelzoo_runner.cli import gates, main
from modelzoo_runner.results.ratio import Ratio

REGRESSED, UNSTABLE = 3, 4


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Saved results by name."""
    made = {
        "before": of_processes(0.1, 0.101, 0.099, 0.1, 0.1),
        "same": of_processes(0.1, 0.1005, 0.0995, 0.1, 0.1),
        "slower": of_processes(0.12, 0.121, 0.119, 0.12, 0.12),
        "wild": of_processes(0.1, 0.15, 0.08, 0.13, 0.1),
        "single": benchmark_result([0.2] * 20),
        "invalid": of_processes(0.2, 0.2, 0.2, verdict="invalid"),
        "noisy": of_processes(0.1, 0.1005, 0.0995, verdict="noisy"),
    }
    found = {name: str(each.save(tmp_path / f"{name}.json")) for name, each in made.items()}
    sweep = SweepResult((made["before"],))
    found["sweep"] = str(sweep.save(tmp_path / "sweep.json"))
    return found


@pytest.mark.parametrize(
    ("changed", "options", "code"),
    [
        ("same", (), 0),
        ("same", ("--fail-if-slower", "5%"), 0),
        ("slower", (), 0),
        ("slower", ("--fail-if-slower", "5%"), REGRESSED),
        ("slower", ("--fail-if-slower", "0.05"), REGRESSED),
        ("slower", ("--fail-if-slower", "30%"), 0),
        ("wild", ("--fail-if-slower", "5%"), UNSTABLE),
        ("invalid", ("--fail-if-slower", "5%"), UNSTABLE),
        ("invalid", ("--fail-on", "invalid"), UNSTABLE),
        ("noisy", ("--fail-on", "invalid"), 0),
        ("noisy", ("--fail-on", "noisy"), UNSTABLE),
        ("same", ("--fail-if-slower", "much"), 2),
        ("sweep", (), 1),
    ],
)
def test_compare(changed: str, options: tuple[str, ...], code: int, files: dict[str, str]) -> None:
    assert main.main(["compare", files["before"], files[changed], *options]) == code


def test_two_single_processes_are_unstable(files: dict[str, str]) -> None:
    limit = ("--fail-if-slower", "5%")
    assert main.main(["compare", files["single"], files["single"], *limit]) == UNSTABLE


def test_the_comparison_is_printed_and_saved_before_the_gate_fails(
    files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "comparison.json"
    options = ("--fail-if-slower", "5%", "--json", str(path), "--csv", "-")
    assert main.main(["compare", files["before"], files["slower"], *options]) == REGRESSED
    assert json.loads(path.read_text())["verdict"] == "slower"
    said = capsys.readouterr()
    assert "20 % slower" in said.err or "1.2x slower" in said.err
    assert "Regressed" in said.err


def test_csv_on_standard_output_is_nothing_but_csv(
    files: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["show", files["before"], files["slower"], "--csv", "-"]) == 0
    said = capfd.readouterr()
    rows = list(csv.DictReader(io.StringIO(said.out)))
    assert [row["model"] for row in rows] == ["resnet50", "resnet50"]
    assert "benchmark  resnet50" in said.err


def test_sweeps_are_compared_row_by_row(files: dict[str, str], tmp_path: Path) -> None:
    slower = SweepResult((of_processes(0.12, 0.121, 0.119),)).save(tmp_path / "s.json")
    limit = ("--fail-if-slower", "5%")
    assert main.main(["compare", files["sweep"], str(slower), *limit]) == REGRESSED
    assert main.main(["compare", files["sweep"], files["sweep"], *limit]) == 0


@pytest.mark.parametrize(
    ("least", "limit", "error"),
    [(0.7, None, None), (0.8, None, gates.Regressed), (0.74, 100, gates.Unstable)],
)
def test_scores(least: float, limit: int | None, error: type[Exception] | None) -> None:
    gated = plan(kind="accuracy", min_scores={"top1": least}, limit=limit)
    count = limit or 1000
    result = accuracy_result({"top1": count * 3 // 4}, count, available=1000, plan=gated)
    if error is None:
        gates.check(result, None)
    else:
        with pytest.raises(error, match=r"top1 0\.7500"):
            gates.check(result, None)


def test_a_limit_within_the_interval_cannot_be_told() -> None:
    inside = Ratio(value=0.96, interval=(0.93, 0.99), min_effect=0.01)
    with pytest.raises(gates.Unstable, match="in the interval"):
        gates.check_speed([("b", inside, True)], 0.05)
    gates.check_speed([("b", inside, True)], 0.10)
    with pytest.raises(gates.Regressed):
        gates.check_speed([("b", inside, True)], 0.005)


class TestHistory:
    def test_add_show_and_check(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], files: dict[str, str]
    ) -> None:
        kept = str(tmp_path / "history.db")
        assert main.main(["history", "add", kept, files["before"], files["same"]]) == 0
        assert main.main(["history", "add", kept, files["before"], "--label", "again"]) == 0
        assert "0 new" in capsys.readouterr().out
        assert main.main(["history", "show", kept]) == 0
        assert capsys.readouterr().out.count("examples/s") == 2
        assert main.main(["history", "check", kept]) == 0

    def test_a_regression(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        kept = str(tmp_path / "history.db")
        for number, seconds in enumerate([0.1] * 6 + [0.2] * 4):
            base = of_processes(seconds, seconds * 1.01, seconds * (1 + number / 1000))
            path = str(base.save(tmp_path / "a.json"))
            assert main.main(["history", "add", kept, path]) == 0
        plot = tmp_path / "a.svg"
        assert main.main(["history", "show", kept, "resnet50", "--plot", str(plot)]) == 0
        assert "slower since" in capsys.readouterr().out and plot.exists()
        assert main.main(["history", "check", kept]) == REGRESSED
        assert main.main(["history", "check", kept, "--min-effect", "80%"]) == REGRESSED
        assert main.main(["history", "check", kept, "rfcn"]) == 0

    def test_none(self, tmp_path: Path) -> None:
        assert main.main(["history", "check", str(tmp_path / "none.db")]) == 1
