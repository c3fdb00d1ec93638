"""Results as rows for other tools: dicts of scalars, CSV, a pandas DataFrame.

Long and tidy: a row is one run, one turn of an A/B test or one comparison, a column is one thing,
and its unit is in its name. What isn't there is `None`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from modelzoo_runner.errors import MissingDependency
from modelzoo_runner.results import stats
from modelzoo_runner.results.ab import ABResult
from modelzoo_runner.results.comparison import Comparison, SweepComparison
from modelzoo_runner.results.result import AccuracyResult, Result
from modelzoo_runner.results.sweep import Failure, Outcome, SweepResult

if TYPE_CHECKING:
    from modelzoo_runner.results.export import Exportable

Row = dict[str, Any]


def rows(value: Exportable) -> list[Row]:
    """The rows of a result, a sweep, a comparison or an A/B test."""
    match value:
        case Result():
            return [of_outcome(value)]
        case SweepResult():
            return [of_outcome(each) for each in value]
        case Comparison():
            return [_of_comparison(value)]
        case SweepComparison():
            return [_of_comparison(each) for each in value]
        case ABResult():
            return _of_ab(value)
    raise TypeError(f"{type(value).__name__} has no rows")


def of_outcome(outcome: Outcome) -> Row:
    """The row of a result, or of a failure in a sweep."""
    if isinstance(outcome, Failure):
        asked = outcome.asked
        return {
            "kind": asked.get("verb"),
            "model": asked.get("model"),
            "precision": asked.get("precision"),
            "batch_size": asked.get("batch_size"),
            "error": f"{outcome.error}: {outcome.message}",
        }
    return _of_result(outcome)


def _of_result(result: Result) -> Row:
    plan, observed = result.plan, result.observed
    row: Row = {
        "kind": plan.kind,
        "model": plan.model,
        "precision": plan.precision,
        "batch_size": plan.batch_size,
        "instances": max(1, len(plan.instances)),
        "cpus": len(plan.placement.cpus) or None,
        "intra_threads": plan.placement.intra_threads,
        "inter_threads": plan.placement.inter_threads,
        "input": plan.data_location or "synthetic",
        "optimize": plan.optimize,
        "examples": result.examples,
        "steps": len(result.step_seconds),
        **result.summary(),
        "warnings": len(result.warnings),
        "interrupted": result.interrupted,
        "host": observed.host,
        "machine": observed.machine.get("id"),
        "runtime": plan.runtime,
        "tensorflow": _tensorflow(observed.machine),
        "started": observed.started,
        "error": None,
    }
    if isinstance(result, AccuracyResult):
        for name, (low, high) in result.interval.items():
            row[f"score_{name}_low"], row[f"score_{name}_high"] = low, high
    return row


def _tensorflow(machine: Mapping[str, Any]) -> Any:
    """The version of TensorFlow, if the facts of the machine have it, which are free in form."""
    found: Any = machine
    for name in ("software", "tensorflow", "version"):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _of_comparison(comparison: Comparison) -> Row:
    before, after, speed = comparison.reference, comparison.changed, comparison.speed
    low, high = speed.interval or (None, None)
    return {
        "reference": before.name,
        "changed": after.name,
        "reference_throughput_examples_per_second": before.throughput,
        "changed_throughput_examples_per_second": after.throughput,
        "reference_latency_p50_seconds": before.p50_seconds,
        "changed_latency_p50_seconds": after.p50_seconds,
        "reference_processes": before.processes,
        "changed_processes": after.processes,
        "ratio": comparison.ratio,
        "ratio_low": low,
        "ratio_high": high,
        "median_ratio": comparison.median_ratio,
        "min_effect": speed.min_effect,
        "verdict": comparison.verdict,
        "obstacles": "; ".join(comparison.obstacles) or None,
        **{f"score_{name}_difference": v for name, v in comparison.score_differences.items()},
    }


def _of_ab(result: ABResult) -> list[Row]:
    """A row for each side in each round."""
    rows = []
    for number, side in enumerate(result.sides):
        for place, (each, throughput) in enumerate(
            zip(result.rounds, result.throughputs(number), strict=True)
        ):
            durations = sorted(step for turn in each.turns for step in turn.step_seconds[number])
            rows.append(
                {
                    "round": place,
                    "side": side.name,
                    "model": side.plan.model,
                    "precision": side.plan.precision,
                    "batch_size": side.plan.batch_size,
                    "turns": len(each.turns),
                    "steps": len(durations),
                    "throughput_examples_per_second": throughput,
                    "latency_p50_seconds": stats.percentile(durations, 0.5),
                    "latency_min_seconds": durations[0],
                    "latency_max_seconds": durations[-1],
                }
            )
    return rows


def columns(rows: Iterable[Row]) -> list[str]:
    """All columns of the rows, in the order in which they come."""
    return list(dict.fromkeys(name for row in rows for name in row))


def csv_text(rows: Sequence[Row]) -> str:
    """The rows as CSV with a header (RFC 4180, with plain newlines)."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns(rows), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def dataframe(rows: Sequence[Row]) -> Any:
    """The rows as a pandas DataFrame.

    Raises:
        MissingDependency: pandas isn't installed.
    """
    try:
        import pandas
    except ImportError:
        raise MissingDependency(
            "to_dataframe() needs pandas: pip install pandas. Without it, to_csv() writes the same "
            "rows as CSV"
        ) from None
    return pandas.DataFrame(list(rows), columns=columns(rows))
