"""Results as text and HTML: a few lines for a result, a row for each run of a sweep."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import Any

from modelzoo_runner.errors import visible
from modelzoo_runner.results import stats
from modelzoo_runner.results.result import AccuracyResult, BenchmarkResult, Result
from modelzoo_runner.results.shown import Shown, seconds, warnings, wrapped
from modelzoo_runner.results.stats import Summary
from modelzoo_runner.results.sweep import Failure, Outcome, SweepResult
from modelzoo_runner.values import markup
from modelzoo_runner.values.words import counted, percent

MAIN_OF_COCO = ("AP", "AP50", "AP75")
"""Of COCO's 12 numbers, those shown on one line."""

NAME_WIDTH = 11


def rows(result: Result) -> list[tuple[str, list[str]]]:
    """The main facts of a result: a name, and one or more lines of text."""
    plan = result.plan
    what = f"{plan.short_name}, {_input(result)}"
    if isinstance(result, AccuracyResult):
        found = [("accuracy", [what]), ("scores", [", ".join(_scores(result))])]
        found.append(("examples", [_examples(result)]))
        if result.gates:
            found.append(("gates", [f"- {each}" for each in result.gates]))
    else:
        found = [("benchmark", [what]), ("throughput", [_throughput(result)])]
        found.append(("latency", [_latency(result)]))
        if isinstance(result, BenchmarkResult) and result.queue_wait is not None:
            found.append(("load", _load(result, result.queue_wait)))
    found += [("steps", [_steps(result)]), ("ran", [_ran(result)])]
    # A score doesn't depend on how long its steps took.
    if result.verdict is not None and not isinstance(result, AccuracyResult):
        found.append(("verdict", [result.verdict, *(f"- {cause}" for cause in result.causes)]))
    found.append(("warnings", [f"- {said}" for said in result.warnings] or ["none"]))
    return found


def text(result: Result) -> str:
    """The rows as aligned lines; causes and warnings stand on lines of their own."""
    return visible("\n".join(_aligned(name, lines) for name, lines in rows(result)))


def _aligned(name: str, lines: Iterable[str]) -> str:
    indent = " " * NAME_WIDTH
    # Only lists are wrapped, so that each other row stays one line that scripts can read.
    every = [
        wrapped(line, indent, indent + "  ") if line.startswith("- ") else indent + line
        for line in lines
    ]
    return f"{name:<{NAME_WIDTH}}" + "\n".join(every)[NAME_WIDTH:]


def html(result: Result) -> str:
    """The same as HTML: the main figures and the verdict first, and not again below."""
    found = rows(result)[1:]
    if isinstance(result, AccuracyResult):
        main, verdict = _main_scores(result), None
        found[0] = ("scores", list(_scores(result)))
    else:
        main = [
            f"{result.throughput:.4g} examples/s",
            f"{seconds(result.latency.p50)} {_unit(result)}",
        ]
        verdict = result.verdict
        found = [
            (f"why {verdict}", lines[1:]) if name == "verdict" else (name, lines)
            for name, lines in found
        ]
    facts = [("input", [_input(result).removesuffix(" input")]), *found]
    return markup.card(
        markup.title(result.plan.short_name, verdict),
        markup.figures(*main),
        markup.facts((name, lines) for name, lines in facts if lines),
    )


def of_sweep(sweep: SweepResult) -> Shown:
    """A row for each outcome, and the warnings about the sweep."""
    return Shown(
        headings=[(f"Sweep of {counted(len(sweep), 'run')}", None)],
        header=("run", "model", "precision", "batch", "CPUs", "verdict", "result"),
        rows=list(map(sweep_row, sweep)),
        notes=warnings(sweep.warnings),
    )


def sweep_row(outcome: Outcome) -> tuple[str, ...]:
    """The cells of one outcome, as `of_sweep` names them."""
    if isinstance(outcome, Failure):
        asked = outcome.asked
        given = (str(asked.get(each, "")) for each in ("verb", "model", "precision", "batch_size"))
        return (*given, "", "failed", f"{outcome.error}: {' '.join(outcome.message.split())}")
    plan = outcome.plan
    return (
        plan.kind,
        plan.model,
        plan.precision,
        str(plan.batch_size),
        str(len(plan.placement.cpus) or "all"),
        _verdict(outcome),
        _figures(outcome),
    )


def _verdict(result: Result) -> str:
    """The verdict and the number of warnings."""
    count = len(result.warnings)
    warnings = counted(count, "warning") if count else "no warnings"
    if result.verdict is None or isinstance(result, AccuracyResult):
        return warnings
    return f"{result.verdict}, {warnings}"


def _figures(result: Result) -> str:
    partial = " (interrupted)" if result.interrupted else ""
    if isinstance(result, AccuracyResult):
        return f"{', '.join(_main_scores(result))} of {result.examples} examples{partial}"
    median = f"median {seconds(result.latency.p50)} {_unit(result)}"
    return f"{result.throughput:.1f} examples/s, {median}{partial}"


def _main_scores(result: AccuracyResult) -> list[str]:
    scores = result.scores.items()
    return [f"{k} {score:.4f}" for k, score in scores if k in MAIN_OF_COCO or result.counts]


def _unit(result: Result) -> str:
    rate = result.plan.rate
    return "per step" if rate is None else f"per query at {rate:.4g}/s"


def _input(result: Result) -> str:
    plan = result.plan
    if plan.data_location is None:
        return "synthetic input"
    return f"{plan.data_location}, streamed" if plan.stream else plan.data_location


def _throughput(result: Result) -> str:
    said = (
        f"{result.throughput:.1f} examples/s inference only, "
        f"{result.end_to_end_throughput:.1f} with data wait"
    )
    if not isinstance(result, BenchmarkResult):
        return said
    if result.throughput_interval is not None:
        low, high = result.throughput_interval
        said += f" (95 % interval: {low:.1f} to {high:.1f}, {len(result.processes)} processes)"
    if not result.instances:
        return said
    return f"{said}; each {', '.join(f'{each:.1f}' for each in result.instance_throughputs)}"


def _latency(result: Result) -> str:
    latency = result.latency
    if isinstance(result, BenchmarkResult) and result.wait_seconds:
        return percentiles(latency, " per query, from when it was due")
    interval = ""
    several = isinstance(result, BenchmarkResult) and result.processes
    if latency.p50_interval is not None and not several:
        low, high = latency.p50_interval
        interval = f" (95 % interval in this process: {seconds(low)} to {seconds(high)})"
    return percentiles(latency, f" per step{interval}")


def percentiles(summary: Summary, of: str = "") -> str:
    """The median, the other percentiles that can be claimed, and the longest duration."""
    found = [(name, getattr(summary, name)) for name in ("p90", "p99", "max")]
    said = (f"{name} {seconds(value)}" for name, value in found if value is not None)
    return ", ".join((f"median {seconds(summary.p50)}{of}", *said))


def _load(result: BenchmarkResult, wait: Summary) -> list[str]:
    """How the queries came, and what their latencies are made of."""
    count, plan = len(result.wait_seconds), result.plan
    bound = stats.percentile_bound(sorted(result.latency_seconds), 0.99)
    return [
        f"{count} queries, {plan.arrivals} arrivals at {plan.rate:.4g}/s, done at "
        f"{result.achieved_rate:.4g}/s, utilization {percent(result.utilization or 0)}",
        f"queue wait: {percentiles(wait)}",
        f"service: {percentiles(result.service)}",
        f"p99 is {'not known' if bound is None else f'at most {seconds(bound)}'} with 99 % "
        f"confidence; MLPerf's Server scenario takes {stats.queries_for(0.99):,} queries",
    ]


def _scores(result: AccuracyResult) -> Iterator[str]:
    interval, difference, legacy = result.interval, result.difference, result.legacy_scores
    for name, score in result.scores.items():
        if legacy and name not in MAIN_OF_COCO:
            continue
        notes = [f"legacy {legacy[name]:.4f}"] if legacy else []
        if name in interval:
            low, high = interval[name]
            notes.append(f"95 % interval: {low:.4f} to {high:.4f}")
        if name in difference:
            notes.append(f"{difference[name]:+.4f} from published")
        yield f"{name} {score:.4f}" + (f" ({'; '.join(notes)})" if notes else "")


def _examples(result: AccuracyResult) -> str:
    hits = ", ".join(f"{name} {count}" for name, count in result.counts.items())
    return f"{result.examples}" + (f", hits: {hits}" if hits else "")


def _steps(result: Result) -> str:
    warmup = result.warmup_seconds
    cold = f" (first {seconds(warmup[0])})" if warmup else ""
    return (
        f"{len(result.step_seconds)} measured in {seconds(sum(result.step_seconds))}, "
        f"data wait {seconds(sum(result.data_seconds))}, {len(warmup)} warm-up{cold}"
    )


def _ran(result: Result) -> str:
    plan, observed = result.plan, result.observed
    placement = plan.placement
    where = {"process": "in this process", "child": "in a child process"}.get(observed.host, "")
    if plan.docker_image is not None:
        where = f"in a container of {plan.docker_image.name}"
    graph = "optimized graph" if plan.optimize else "graph as it is"
    if plan.preprocess_graph is not None:
        graph += f" fed by {PurePath(plan.preprocess_graph.path).name}"
    each = ""
    if plan.instances:
        where, each = f"in {len(plan.instances)} child processes at once", " each"
    if isinstance(result, AccuracyResult) and result.parts:
        nodes = len({part.machine.get("id") for part in result.parts})
        where += f", in {len(result.parts)} parts" + (f" on {nodes} nodes" if nodes > 1 else "")
    if plan.processes > 1:
        where = f"{where.replace(' a child process', ' child processes')}, {plan.processes} in turn"
    return (
        f"{where}, {placement.intra_threads} intra-op and {placement.inter_threads} inter-op "
        f"threads{each} on {len(placement.cpus) or 'all'} CPUs, {graph}, "
        f"{_runtime(observed.machine.get('software', {}))}"
    )


def _runtime(software: Mapping[str, Any]) -> str:
    """The name and version of what ran the graph; results of schema 1 only know TensorFlow."""
    found = software.get("runtime") or {"name": "tensorflow", **(software.get("tensorflow") or {})}
    name = "TensorFlow" if found["name"] == "tensorflow" else found["name"]
    return f"{name} {found.get('version', 'of an unknown version')}"
